// Values as people read them. Money comes in 1/10000 dollar, times in nanoseconds.

const none = "–";

export function price(e4) {
  if (e4 === null || e4 === undefined) return none;
  const sign = e4 < 0 ? "-" : "", whole = Math.abs(e4);
  const part = String(whole % 10000).padStart(4, "0");
  return `${sign}${Math.floor(whole / 10000)}.${part.endsWith("00") ? part.slice(0, 2) : part}`;
}

// Cut to cents towards zero, with thousands separators.
export function money(e4) {
  if (e4 === null || e4 === undefined) return none;
  const cents = Math.trunc(e4 / 100), whole = Math.abs(cents);
  return `${cents < 0 ? "-" : ""}${count(Math.floor(whole / 100))}.${String(whole % 100).padStart(2, "0")}`;
}

export function count(value) {
  return value === null || value === undefined ? none : value.toLocaleString("en-US");
}

export function duration(ns) {
  if (ns === null || ns === undefined) return none;
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${+(ns / 1e3).toPrecision(3)} µs`;
  if (ns < 1e9) return `${+(ns / 1e6).toPrecision(3)} ms`;
  return `${+(ns / 1e9).toPrecision(3)} s`;
}

// Of a moment (ns since 1970) the time of day where the reader is.
export function clock(utcNs, parts = 3) {
  const at = new Date(utcNs / 1e6);
  const text = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return parts === 2 ? text.slice(0, 2).join(":") : text.join(":");
}

// Of the exchange's time stamp (ns since its midnight).
export function exchangeClock(ns) {
  if (!ns) return none;
  const ms = Math.floor(ns / 1e6), seconds = Math.floor(ms / 1000);
  const part = (value, digits = 2) => String(value).padStart(digits, "0");
  return `${part(Math.floor(seconds / 3600))}:${part(Math.floor(seconds / 60) % 60)}:${part(seconds % 60)}.${part(ms % 1000, 3)}`;
}

// What `turbo-hft set` would take for it.
export function setting(value) {
  if (value === null || (Array.isArray(value) && value.length === 0)) return "off";
  if (value === true) return "yes";
  if (value === false) return "no";
  return Array.isArray(value) ? value.join("+") : String(value);
}
