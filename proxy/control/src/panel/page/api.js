// Requests to the API, and what their errors say.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Asks; returns the JSON of the answer and its revision. A `Refused` says what was wrong; status 0: nobody answered. */
export async function ask(method, path, body, headers = {}) {
  let response;
  try {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    response = await fetch(path, { method, ...json, headers: { ...type, ...headers } });
  } catch {
    throw new Refused("nobody answered; nothing was changed", 0);
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch { /* an error that is plain text */ }
  if (!response.ok) throw new Refused(value?.error ?? (text.trim() || response.statusText), response.status);
  const tag = response.headers.get("ETag");
  return { value, revision: tag ? Number(tag.replaceAll('"', "")) : null };
}

/** The path of a proxy, or of something of it. */
export const path = (name, ...parts) => ["/proxies", ...[name, ...parts].map(encodeURIComponent)].join("/");
