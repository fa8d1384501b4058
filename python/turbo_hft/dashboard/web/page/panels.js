// What the page shows of a picture: each function draws one panel from the newest sections.

import * as f from "./format.js";
import { BarChart, LineChart } from "./charts.js";

const get = (id) => document.getElementById(id);
const charts = {};

export function makeCharts() {
  charts.price = new LineChart(get("price"), { format: f.price, clock: f.clock, least: 500, steps: true });
  charts.pnl = new LineChart(get("pnl"), { format: f.money, clock: f.clock, least: 20000, zero: true });
  charts.latency = new BarChart(get("latency"));
  span();
  get("span").addEventListener("change", span);
}

function span() {
  const seconds = Number(get("span").value);
  charts.price.span(seconds);
  charts.pnl.span(seconds);
}

// A node's text, touched only when it differs: a screen reader or a selection is not disturbed for nothing.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Rows of a table, cells made once and filled again. A cell is a text, or {text, kind, fill, button}.
function rows(body, all, kinds = () => "") {
  while (body.rows.length > all.length) body.deleteRow(-1);
  all.forEach((cells, r) => {
    const row = body.rows[r] ?? body.insertRow();
    const kind = kinds(r);
    if (row.className !== kind) row.className = kind;
    while (row.cells.length > cells.length) row.deleteCell(-1);
    cells.forEach((cell, c) => {
      const { text, kind: look = "", fill = null, press = null, meter = null } = typeof cell === "object" ? cell : { text: cell };
      const box = row.cells[c] ?? row.insertCell();
      if (box.className !== look) box.className = look;
      if (press) {
        const button = box.querySelector("button") ?? box.appendChild(document.createElement("button"));
        button.type = "button";
        button.onclick = press;
        say(button, text);
      } else if (fill !== null) {
        const words = box.querySelector(".words") ?? box.appendChild(piece("span", "words"));
        const bar = box.querySelector(".fill") ?? box.appendChild(piece("span", "fill"));
        say(words, text);
        bar.style.width = `${(100 * fill).toFixed(1)}%`;
      } else if (meter !== null) {
        const words = box.querySelector(".words") ?? box.appendChild(piece("span", "words"));
        const bar = box.querySelector(".meter") ?? box.appendChild(piece("span", "meter"));
        if (!bar.firstChild) bar.append(piece("span", ""));
        say(words, `${text} `);
        bar.className = `meter ${meter >= 1 ? "bad" : meter >= 0.8 ? "warn" : ""}`;
        bar.firstChild.style.width = `${Math.min(100, 100 * meter).toFixed(1)}%`;
      } else {
        say(box, text);
      }
    });
  });
}

function piece(tag, kind) {
  const made = document.createElement(tag);
  made.className = kind;
  return made;
}

// Heads are "=text" for columns of text, otherwise of figures.
function table(node, heads, all, kinds) {
  if (!node.tHead) {
    const row = node.createTHead().insertRow();
    for (const head of heads) {
      const cell = row.appendChild(piece("th", head.startsWith("=") ? "text" : ""));
      cell.scope = "col";
      cell.textContent = head.replace("=", "");
    }
    node.createTBody();
  }
  rows(node.tBodies[0], all.map((cells) => cells.map((cell, c) => {
    const made = typeof cell === "object" ? cell : { text: cell };
    return heads[c]?.startsWith("=") ? { ...made, kind: `text ${made.kind ?? ""}` } : made;
  })), kinds);
}

function facts(node, pairs) {
  while (node.children.length > pairs.length) node.lastElementChild.remove();
  pairs.forEach(([name, value, kind = ""], i) => {
    let box = node.children[i];
    if (!box) {
      box = node.appendChild(document.createElement("div"));
      box.append(document.createElement("dt"), document.createElement("dd"));
    }
    say(box.firstChild, name);
    say(box.lastChild, value);
    if (box.lastChild.className !== kind) box.lastChild.className = kind;
  });
}

const side = (name) => ({ text: name, kind: name });
const gain = (e4) => ({ text: f.money(e4), kind: e4 < 0 ? "bad" : "" });
const words = (name) => String(name).replaceAll("_", " ");

export function stateOf(view) {
  if (!view.configured) return ["NOT CONFIGURED", "waiting"];
  if (view.state === "halted") return ["HALTED", "halted"];
  if (view.lease_s === 0) return ["LEASE LAPSED", "waiting"];
  const text = view.state === "reducing" ? "REDUCING" : "TRADING";
  return [view.latched ? `${text} (LOSS LIMIT)` : text, view.state === "reducing" || view.latched ? "reducing" : "trading"];
}

function head(view) {
  const [text, kind] = stateOf(view);
  say(get("state"), text);
  get("state").className = kind;
  say(get("interface"), view.interface ?? "not attached");
  say(get("lease"), view.lease_s === null ? "lease: for ever" : view.lease_s === 0 ? "lease: lapsed" : "lease: kept");
  document.title = `${text} · Turbo-HFT ${view.interface ?? ""}`;
}

function symbols(view, chosen, choose) {
  const list = get("watch"), names = view.symbols.map((row) => row.name);
  if ([...list.options].map((option) => option.value).join() !== names.join()) {
    list.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  if (chosen && list.value !== chosen && names.includes(chosen)) list.value = chosen;
  const heads = ["=symbol", "=state", "bid", "offer", "buy ≤", "sell ≥", "position", "average", "realized", "unrealized", "net P&L", "open", "orders", "fills"];
  table(get("symbols"), heads, view.symbols.map((row) => {
    const state = [];
    if (row.health !== "ok") state.push(row.health === "quarantined" ? `quarantined (${words(row.doubt)})` : words(row.health));
    if (row.trading !== "trading") state.push(`market ${words(row.trading)}`);
    if (row.state !== "active") state.push(row.state);
    if (row.latched) state.push("loss limit");
    return [
      { text: row.name, press: () => choose(row.name) },
      { text: state.join(", ") || `ok, ${row.strategy ?? "no strategy"}`, kind: state.length ? "warn" : "good" },
      { text: f.price(row.bid_e4), kind: "bid" }, { text: f.price(row.ask_e4), kind: "ask" },
      f.price(row.buy_below_e4), f.price(row.sell_above_e4), f.count(row.position), f.price(row.average_cost_e4),
      gain(row.realized_e4), gain(row.unrealized_e4), gain(row.pnl_e4),
      row.open ? `${row.open.orders} (${row.open.buy_qty} / ${row.open.sell_qty})` : "–", f.count(row.orders), f.count(row.fills),
    ];
  }), (r) => (view.symbols[r].name === chosen ? "now" : ""));
  const all = view.totals;
  facts(get("totals"), [
    ["orders", f.count(all.orders)], ["fills", f.count(all.fills)], ["refused", f.count(all.refused)],
    ["bought", f.count(all.bought_qty)], ["sold", f.count(all.sold_qty)], ["realized", f.money(all.realized_e4)],
    ["unrealized", f.money(all.unrealized_e4)], ["fees", f.money(Math.trunc(all.fees_e8 / 10000))],
    ["net P&L", f.money(all.pnl_e4), all.pnl_e4 < 0 ? "bad" : ""],
    ["gross exposure", f.money(all.gross_e4)], ["net exposure", f.money(all.net_e4)],
    ["books", Object.entries(view.books).map(([health, n]) => `${f.count(n)} ${words(health)}`).join(", ") || "none"],
  ]);
}

function watched(view) {
  const row = view["watched.symbol"];
  say(get("depth-name"), row ? row.name : "");
  if (!row) return;
  const asks = view["watched.asks"], bids = view["watched.bids"];
  const most = Math.max(1, ...asks.map((level) => level.qty), ...bids.map((level) => level.qty));
  const level = (kind) => ({ price_e4, qty, orders, ours }) => [
    f.count(orders), { text: f.count(qty), kind: "shares", fill: qty / most }, { text: f.price(price_e4), kind }, ours ? f.count(ours) : "",
  ];
  rows(get("asks"), asks.map(level("ask")).reverse(), () => "ask");
  rows(get("bids"), bids.map(level("bid")), () => "bid");
  const apart = row.bid_e4 !== null && row.ask_e4 !== null ? f.price(row.ask_e4 - row.bid_e4) : "–";
  rows(get("spread"), [["", "spread", apart, ""]]);
}

function prices(view) {
  const curve = view["watched.prices"], name = view["watched.symbol"]?.name;
  if (!curve) return;
  const marks = view["watched.fills"].map((fill) => ({
    x: fill.utc_ns, y: fill.price_e4, up: fill.side === "buy",
    words: `${fill.side === "buy" ? "bought" : "sold"} ${fill.qty} at ${f.price(fill.price_e4)}${fill.exact ? "" : " on average"}`,
  }));
  charts.price.set({
    x: curve.utc_ns, band: { low: curve.low_e4, high: curve.high_e4, color: "soft" }, marks,
    lines: [{ name: `${name} bid`, color: "buy", y: curve.bid_e4 }, { name: "offer", color: "sell", y: curve.ask_e4 }],
  });
}

function pnl(view) {
  const curve = view.pnl;
  charts.pnl.set({
    x: curve.utc_ns, band: { low: curve.low_e4, high: curve.high_e4, color: "net" },
    lines: [{ name: "realized", color: "soft", y: curve.realized_e4 }, { name: "net", color: "net", y: curve.pnl_e4 }],
  });
}

function latency(view) {
  const { count, p50_ns, p90_ns, p99_ns, p999_ns, first_exponent, buckets } = view.latency;
  const at = (ns) => Math.log2(ns) - first_exponent;
  const lines = [["p50", p50_ns], ["p90", p90_ns], ["p99", p99_ns], ["p99.9", p999_ns]].filter(([, ns]) => ns);
  charts.latency.set({
    bars: buckets.map((size, i) => {
      const from = 2 ** (first_exponent + i);
      return { count: size, label: f.duration(from), words: `${f.duration(from)} to ${f.duration(2 * from)}: ${f.count(size)} of ${f.count(count)} orders` };
    }),
    lines: [...new Set(lines.map(([, ns]) => ns))].map((ns) => ({
      label: lines.filter(([, each]) => each === ns).map(([label]) => label).join(" "), place: at(ns),
    })),
  });
  facts(get("percentiles"), [...lines.map(([label, ns]) => [label, `< ${f.duration(ns)}`]), ["orders", f.count(count)]]);
}

function orders(view) {
  say(get("orders-count"), f.count(view.totals.open_orders));
  table(get("orders"), ["ref", "=symbol", "=side", "open", "of", "price", "=strategy", "=state", "age"], view.orders.map((row) => [
    String(row.user_ref), row.symbol, side(row.short_sale ? "sell" : row.side), f.count(row.open_qty), f.count(row.qty), f.price(row.price_e4),
    row.strategy, [row.state, ...row.pending].join(", "), row.age_s === null ? "–" : `${row.age_s.toFixed(row.age_s < 10 ? 1 : 0)} s`,
  ]));
}

function fills(view) {
  table(get("fills"), ["=time", "=symbol", "=side", "shares", "price", "ref", "=strategy", "position"], view.fills.slice().reverse().map((row) => [
    f.clock(row.utc_ns), row.symbol, side(row.side), f.count(row.qty), `${row.exact ? "" : "~"}${f.price(row.price_e4)}`,
    String(row.user_ref), row.strategy, f.count(row.position),
  ]));
}

function risk(view) {
  const amount = (unit, value) => (unit === "usd_e4" ? f.money(value) : f.count(value));
  const all = [...view.limits, ...(view["watched.limits"] ?? [])];
  table(get("limits"), ["=of", "=limit", "used", "limit", "=part"], all.map((use) => {
    const part = use.limit ? use.used / use.limit : use.used ? 1 : 0;
    return [use.whose, words(use.name), amount(use.unit, use.used), amount(use.unit, use.limit), { text: `${Math.round(100 * part)} %`, meter: part }];
  }));
  table(get("strategies"), ["=strategy", "=state", "orders", "open", "executions"], view.strategies.map((row) => [
    row.name, { text: row.latched ? `${row.state}, latched` : row.state, kind: row.latched || row.state !== "active" ? "warn" : "" },
    f.count(row.orders), f.count(row.open_orders), f.count(row.executions),
  ]));
  facts(get("refusals"), Object.entries(view.refusals).sort((a, b) => b[1] - a[1]).map(([why, n]) => [words(why), f.count(n)]));
}

function feeds(view) {
  const heads = ["feed", "=health", "=session", "=phase", "next", "missing", "gaps", "missed", "line A / B / asked", "quiet", "=exchange time"];
  table(get("feeds"), heads, view.feeds.map((feed) => [
    String(feed.number), { text: feed.health, kind: feed.health === "live" ? "good" : "warn" }, feed.session || "–", feed.phase,
    f.count(feed.expected_seq), { text: f.count(feed.missing), kind: feed.missing ? "warn" : "" }, f.count(feed.gaps), f.count(feed.missed),
    feed.first.map(f.count).join(" / "), feed.quiet_s === null ? "–" : `${feed.quiet_s.toFixed(1)} s`, f.exchangeClock(feed.exchange_ns),
  ]));
  const session = view.session, recorder = view.recorder;
  facts(get("session"), [
    ["order entry", session.health, session.health === "up" ? "good" : "warn"], ["session", session.session || "–"],
    ["next order", `#${session.next_user_ref}`], ["replies missing", f.count(session.replies_missing), session.replies_missing ? "warn" : ""],
    ["messages", f.count(view.messages)], ["a second", f.count(view.messages_per_s)], ["epoch", f.count(view.epoch)],
    ...(recorder ? [
      ["journal", f.count(recorder.recorded)],
      ["journal trouble", recorder.problem || (recorder.lost || recorder.unrecorded ? `${recorder.lost} lost, ${recorder.unrecorded} unrecorded` : recorder.behind ? "behind" : "none"),
        recorder.problem || recorder.lost || recorder.unrecorded || recorder.behind ? "bad" : ""],
    ] : []),
  ]);
  facts(get("counters"), Object.entries(view.counters).map(([name, n]) => [words(name), f.count(n)]));
}

function events(view) {
  const note = get("events-note");
  note.hidden = view.reads_events;
  say(note, "The process that runs the engine reads the events, and hands them on by its control socket (`turbo-hft run --control`). There is none, or it does not answer: fills are taken from the order table.");
  table(get("events"), ["=exchange time", "=event", "=symbol", "=side", "shares", "price", "ref", "=strategy", "=reason", "position", "after"], view.events.slice().reverse().map((row) => [
    f.exchangeClock(row.exchange_ns), words(row.kind), row.symbol ?? "", row.qty ? side(row.side) : "", row.qty ? f.count(row.qty) : "", row.price_e4 ? f.price(row.price_e4) : "",
    row.user_ref ? `${row.user_ref}${row.other_ref ? ` for ${row.other_ref}` : ""}` : "", row.strategy === "none" ? "" : row.strategy,
    `${words(row.reason)}${row.repeats > 1 ? ` (${f.count(row.repeats)} times)` : ""}`, row.kind === "executed" ? f.count(row.position) : "", row.hook_ns ? f.duration(row.hook_ns) : "",
  ]));
}

// `changed`: names of the sections that moved.
export function draw(view, changed, chosen, choose) {
  const any = (...names) => names.some((name) => changed.has(name));
  head(view);
  if (any("symbols", "totals", "books") || chosen !== draw.chosen) symbols(view, chosen, choose);
  if (any("watched.symbol", "watched.bids", "watched.asks")) watched(view);
  if (any("watched.prices", "watched.fills")) prices(view);
  if (any("pnl")) pnl(view);
  say(get("pnl-now"), f.money(view.totals.pnl_e4));
  if (any("latency")) latency(view);
  if (any("orders", "totals")) orders(view);
  if (any("fills")) fills(view);
  if (any("limits", "watched.limits", "strategies", "refusals")) risk(view);
  if (any("feeds", "session", "counters", "recorder", "messages", "epoch")) feeds(view);
  if (any("events", "reads_events")) events(view);
  draw.chosen = chosen;
}
