// What the panel's pure modules promise, tried in the page itself. Resolves to [how much was checked, what was wrong].
(async () => {
  const { RATE, SHARE, TIME, nearest } = await import("/panel/units.js");
  const { canonical, clone, compact, expand, keyOf, laidOut, merge, same, WAYS } = await import("/panel/profile.js");
  const { ROWS, mainOf, ruleIndex, setMain, switchRow } = await import("/panel/kinds.js");
  const wrong = [];
  let checked = 0;
  const check = (right, what) => {
    checked += 1;
    if (!right) wrong.push(what);
  };
  const near = (one, two) => Math.abs(one - two) <= 1e-9 * Math.abs(two);

  // Each step of a slider is written so that it is read as itself.
  for (const [name, quantity] of Object.entries({ RATE, SHARE, TIME })) {
    quantity.scale.forEach((value, step) => {
      check(near(quantity.read(quantity.write(value)), value), `${name} ${value}: ${quantity.write(value)}`);
      check(nearest(quantity.scale, value) === step, `${name} ${value} is step ${step}`);
    });
  }
  check(TIME.write(0) === "0ms", `nothing is ${TIME.write(0)}`);
  const typed = [
    [SHARE, "20", 0.2], [SHARE, "0.5 %", 0.005], [SHARE, "100%", 1], [TIME, "40", 0.04], [TIME, "1.5 s", 1.5], [TIME, "2m 30s", 150], [TIME, "250us", 0.00025],
    [TIME, "0", 0], [RATE, "10", 1e7], [RATE, "56kbit/s", 56e3], [RATE, "10 KiB/s", 81920], [RATE, "1.5MB/s", 12e6],
  ];
  for (const [quantity, text, value] of typed) check(near(quantity.typed(text), value), `${text}: ${quantity.typed(text)}`);
  for (const quantity of [SHARE, TIME, RATE]) {
    for (const text of ["", "abc", "-3", "5 parsecs", "1e3", "1,5", "ms", "10 10"]) check(Number.isNaN(quantity.typed(text)), `“${text}” is ${quantity.typed(text)}`);
  }

  // Profiles of every kind keep their rules, whatever the panel does to others of them.
  const { profiles } = await (await fetch("/profiles")).json();
  profiles.forEach(({ name, profile }, index) => {
    const whole = expand(profile);
    check(same(expand(compact(whole)), whole), `${name}: written and read again`);
    check(same(JSON.parse(laidOut(profile)), profile), `${name}: laid out`);
    const next = expand(profiles[(index + 1) % profiles.length].profile);
    const keys = (rules) => canonical(rules.map((rule, place) => `${keyOf(rules, place)} ${canonical(rule)}`).sort());
    const merged = merge(whole, whole, next);
    check(WAYS.every((way) => keys(merged[way]) === keys(next[way])) && same(merged.phases, next.phases), `${name}: a change of all of it`);
    for (const row of ROWS) {
      const changed = clone(whole);
      setMain(changed.up, row, row.fresh[row.main]);
      const others = (rules) => canonical(rules.filter((_, place) => place !== ruleIndex(rules, row.kind)));
      check(others(changed.up) === others(whole.up) && same(changed.down, whole.down), `${name}: ${row.kind} alone is changed`);
      const place = ruleIndex(whole.up, row.kind);
      const value = place < 0 ? undefined : mainOf(row, whole.up[place]);
      if (value !== undefined) check(near(row.quantity.read(row.quantity.write(row.quantity.read(value))), row.quantity.read(value)), `${name}: ${row.kind} ${value}`);
      // Somebody else switches another rule off meanwhile; undoing ours leaves that.
      const elsewhere = clone(changed);
      const other = ROWS.find((one) => one !== row && ruleIndex(changed.down, one.kind) >= 0);
      if (!other) continue;
      switchRow(elsewhere.down, other, false);
      const undone = merge(elsewhere, changed, whole);
      check(same(undone.up, whole.up) && undone.down[ruleIndex(undone.down, other.kind)].enabled === false, `${name}: ${row.kind} undone beside ${other.kind}`);
    }
  });
  return [checked, wrong];
})()
