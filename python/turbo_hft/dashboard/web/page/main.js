// The page as a whole: logging in, the stream of pictures, keys.

import { Controls } from "./controls.js";
import { draw, makeCharts, say } from "./panels.js";

const get = (id) => document.getElementById(id);
const SILENCE_MS = 2000;
const LOGS = ["events", "fills", "watched.fills"];

let controls = null, session = null, stream = null, chosen = null, heard = 0, view = {}, starts = {};

// A browser has six connections to a server, and a stream keeps one. So only the newest pages have one: the others would
// keep a halt from getting through. `later`: pages that began a stream after this one did.
const MOST_STREAMS = 3;
const me = `${Date.now()} ${Math.random()}`, later = new Set();
const pages = new BroadcastChannel("turbo-hft pages");
let paused = false, broken = "";

pages.onmessage = ({ data }) => {
  later.add(data);
  if (!stream || later.size < MOST_STREAMS) return;
  stream.close();
  stream = null;
  paused = true;
  contact();
};
for (const name of ["focus", "pointerdown", "keydown"]) window.addEventListener(name, () => { if (paused) follow(); }, true);

// What only pages of this address and port can know: beside the cookie, which a browser sends to every port.
const KEY = "turbo-hft csrf";
const csrf = () => localStorage.getItem(KEY) ?? "";

async function ask(path, body, headers = { "x-csrf-token": csrf() }) {
  const asked = body === undefined ? { headers } : { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
  const answer = await fetch(path, asked);
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(value.error ?? `status ${answer.status}`), { status: answer.status });
  return value;
}

async function begin() {
  makeCharts();
  // The token stands behind the #, which no browser sends: it is shown to the server once, and taken off the address.
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname);
  try {
    enter(await (token ? ask("/login", { token }) : ask("/api/session")));
  } catch (error) {
    logIn(token ? error.message : "");
  }
}

function logIn(why) {
  get("app").hidden = true;
  get("login").hidden = false;
  get("login-error").hidden = !why;
  get("login-error").textContent = why;
  get("token").focus();
}

get("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const found = await ask("/login", { token: get("token").value.trim() });
    get("token").value = "";
    // A session of another role has other controls, and those of an earlier one were taken away.
    if (controls) {
      localStorage.setItem(KEY, found.csrf);
      return location.reload();
    }
    enter(found);
  } catch (error) {
    logIn(error.message);
  }
});

function enter(found) {
  if (found.csrf) localStorage.setItem(KEY, found.csrf);
  session = found;
  get("login").hidden = true;
  get("app").hidden = false;
  say(get("role"), session.may_trade ? "" : "read only");
  controls = new Controls({ session, csrf, view: () => view, lost });
  get("logout").addEventListener("click", async () => {
    stream?.close();
    await ask("/logout", {}).catch(() => undefined);
    localStorage.removeItem(KEY);
    location.reload();
  });
  get("keys-button").addEventListener("click", () => get("keys").showModal());
  get("watch").addEventListener("change", () => choose(get("watch").value));
  document.addEventListener("keydown", press);
  follow();
  setInterval(contact, 500);
}

function lost() {
  stream?.close();
  stream = null;
  logIn("The session is over: log in again. Halting meanwhile: turbo-hft halt on the engine's machine.");
}

function follow() {
  stream?.close();
  paused = false;
  later.clear();
  pages.postMessage(me);
  view = {};
  starts = {};
  stream = new EventSource(`/api/stream?${new URLSearchParams({ csrf: csrf(), ...(chosen ? { watch: chosen } : {}) })}`);
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.addEventListener("end", again);
  // A refusal closes the stream for good; a broken connection is taken up again by the browser.
  stream.onerror = () => { if (stream?.readyState === EventSource.CLOSED) again(); };
}

async function again() {
  const mine = stream;
  mine?.close();
  try {
    await ask("/api/session");
  } catch (error) {
    if (error.status === 401 || error.status === 403) return lost();
  }
  setTimeout(() => { if (stream === mine) follow(); }, 1000);
}

function take({ names, changed, logs }) {
  heard = performance.now();
  const there = new Set([...names, ...LOGS]);
  for (const name of Object.keys(view)) if (!there.has(name)) delete view[name];
  Object.assign(view, changed);
  for (const name of LOGS) view[name] ??= [];
  // Of a list that grows at its end: rows are counted from its very first one, `start` is the oldest that is left.
  for (const [name, { start, from, rows }] of Object.entries(logs)) {
    const had = starts[name] ?? 0;
    view[name] = [...view[name].slice(Math.max(0, start - had), Math.max(0, from - had)), ...rows];
    starts[name] = start;
  }
  trouble(view.problem ?? "");
  if (!view.symbols) return;
  try {
    draw(view, new Set([...Object.keys(changed), ...Object.keys(logs)]), chosen, choose);
    broken = "";
  } catch (error) {
    broken = `this page could not draw the picture (${error.message}): load it anew. It halts all the same.`;
    contact();
    return;
  }
  if (chosen === null && view.symbols.length) choose(view.symbols[0].name);
}

let shownTrouble = "";

function trouble(text) {
  if (text) cover("NO PICTURE");
  if (text === shownTrouble) return;
  shownTrouble = text;
  contact();
  if (text) {
    // A symbol that is not tracked any more: look at the first one again.
    if (chosen !== null) { chosen = null; follow(); }
  }
  get("problem").hidden = !text;
  get("problem").textContent = text;
}

// What the engine did last is not what it does now: nowhere on the page, nor in the title of its tab.
function cover(text) {
  say(get("state"), text);
  get("state").className = "waiting";
  document.title = `${text} · Turbo-HFT`;
}

function contact() {
  const silent = performance.now() - heard > SILENCE_MS, old = silent || paused || broken !== "" || shownTrouble !== "";
  get("app").classList.toggle("stale", old);
  get("contact").classList.toggle("lost", old);
  if (paused) cover("PAUSED");
  else if (silent) cover(heard ? "NO CONTACT" : "CONNECTING");
  else if (broken) cover("NO PICTURE");
  const since = `NO CONTACT for ${Math.round((performance.now() - heard) / 1000)} s`;
  say(get("contact"), paused ? "PAUSED: newer pages are kept up to date; click or press a key to go on" : silent ? (heard ? since : "connecting") : broken || (shownTrouble ? "no picture" : "live"));
}

function choose(name) {
  if (name === chosen) return;
  chosen = name;
  follow();
}

function press(event) {
  const typing = event.target.closest?.("input, textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || get("app").hidden) return;
  if (controls.press(event.key.toLowerCase())) return event.preventDefault();
  if (document.querySelector("dialog[open]")) return;
  const list = get("watch"), step = { j: 1, k: -1 }[event.key];
  if (event.key === "?") get("keys").showModal();
  else if (step && list.options.length) choose(list.options[(list.selectedIndex + step + list.options.length) % list.options.length].value);
  else return;
  event.preventDefault();
}

begin();
