// Quantities: what the profile language writes, what people type, and the steps of a slider.

/** Short decimal digits, without the noise of floats. */
const digits = (number) => String(Number(number.toPrecision(10)));

/** The values from `from` to `to` that a hand wants: so many of each decade. */
function steps(from, to, mantissas) {
  const values = [];
  for (let decade = 10 ** Math.floor(Math.log10(from)); decade <= to; decade *= 10) {
    for (const mantissa of mantissas) {
      const value = Number((decade * mantissa).toPrecision(3));
      if (value >= from && value <= to) values.push(value);
    }
  }
  return values;
}

/** A quantity with units: reads and writes numbers in the one that `units` gives the factor 1. */
function quantity({ units, bare, written, scale, pattern }) {
  const one = new RegExp(`^(\\d+(?:\\.\\d+)?)\\s*(${pattern})$`);
  const read = (text) => {
    if (text === 0) return 0;
    let sum = 0;
    const parts = String(text).trim().match(/\d+(?:\.\d+)?\s*[a-zA-Zµ/]*/g);
    if (!parts || parts.join("").replace(/\s/g, "") !== String(text).replace(/\s/g, "")) return NaN;
    for (const part of parts) {
      const [, number, unit] = part.trim().match(one) ?? [];
      if (unit === undefined) return Number(part) === 0 ? sum : NaN;
      sum += Number(number) * units[unit];
    }
    return sum;
  };
  const write = (value) => {
    if (value === 0) return `0${bare}`;
    const unit = written.find((name) => value >= units[name] * 0.9999999) ?? written.at(-1);
    return digits(value / units[unit]) + unit;
  };
  return {
    scale, read, write,
    typed: (text) => read(/^\s*\d+(\.\d+)?\s*$/.test(text) ? text.trim() + bare : text),
  };
}

export const TIME = quantity({
  units: { ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 },
  pattern: "ns|us|µs|ms|s|m|h", bare: "ms", written: ["s", "ms", "us", "ns"],
  scale: [0, ...steps(1e-3, 10, [1, 1.5, 2, 3, 4, 5, 6, 8])],
});

export const RATE = quantity({
  units: { "bit/s": 1, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "B/s": 8, "kB/s": 8e3, "MB/s": 8e6, "GB/s": 8e9, "KiB/s": 8192, "MiB/s": 8388608 },
  pattern: "[kMG]?bit/s|[kMG]?B/s|[KM]iB/s", bare: "Mbit/s", written: ["Gbit/s", "Mbit/s", "kbit/s", "bit/s"],
  scale: steps(1e3, 1e10, [1, 1.5, 2, 3, 4, 5, 6, 8]),
});

const shareRead = (value) => {
  if (typeof value === "number") return value;
  const [, number] = String(value).trim().match(/^(\d+(?:\.\d+)?)\s*%$/) ?? [];
  return number === undefined ? NaN : Number(number) / 100;
};

export const SHARE = {
  scale: [0, ...steps(0.0001, 0.1, [1, 1.5, 2, 3, 5, 7]), 0.12, ...Array.from({ length: 18 }, (_, n) => Number((0.15 + 0.05 * n).toFixed(2)))],
  read: shareRead,
  write: (value) => `${digits(value * 100)}%`,
  typed: (text) => shareRead(text.includes("%") ? text : `${text}%`),
};

/** The step of a scale that is nearest to a value, by ratio. */
export function nearest(scale, value) {
  const distance = (step) => (step > 0 && value > 0 ? Math.abs(Math.log(step / value)) : Math.abs(step - value) * 1e9);
  return scale.reduce((best, step, index) => (distance(step) < distance(scale[best]) ? index : best), 0);
}

/** A rate in bits per second, short. */
export function bits(value) {
  if (value == null) return "–";
  for (const [unit, size] of [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(value)} bit/s`;
}

/** Bytes, short. */
export function bytes(value) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return `${value} B`;
}

export const percent = (value) => (value == null ? "–" : `${Number((value * 100).toPrecision(value < 0.1 ? 2 : 3))}%`);

export function millis(value) {
  if (value == null) return "–";
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))} s` : `${Number(value.toPrecision(3))} ms`;
}

export const count = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en"));

export function seconds(value) {
  if (value == null) return "–";
  if (value < 60) return `${value.toFixed(1)} s`;
  const [minutes, rest] = [Math.floor(value / 60), Math.floor(value % 60)];
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
