// What a person does: halting at once, everything else after a second look.

import { setting } from "./format.js";

const get = (id) => document.getElementById(id);
const TRIES = 3;

export class Controls {
  // `csrf()`: the token of the newest login in this browser; `view()`: the newest sections; `lost()`: the session is over.
  constructor({ session, csrf, view, lost }) {
    Object.assign(this, { session, csrf, view, lost });
    if (!session.may_trade) {
      for (const node of document.querySelectorAll("#kill, .trades, .choice .halt, #edit, #confirm")) node.remove();
      return;
    }
    for (const button of document.querySelectorAll("button.halt")) button.addEventListener("click", () => this.halt());
    get("cancel").addEventListener("click", () => this.cancel());
    get("reduce").addEventListener("click", () => this.reduce());
    get("resume").addEventListener("click", () => this.resume());
    get("edit-symbol").addEventListener("click", () => this.edit(this.view()["watched.symbol"]?.name ?? null));
    get("edit-limits").addEventListener("click", () => this.edit(null));
    get("confirm-no").addEventListener("click", () => get("confirm").close());
    get("edit-no").addEventListener("click", () => get("edit").close());
  }

  // Keys that do something; what is typed into a field is none of them.
  press(key) {
    if (!this.session.may_trade) return false;
    const open = document.querySelector("dialog[open]");
    if (key === "h") this.halt();
    else if (open) return false;
    else if (key === "c") this.cancel();
    else if (key === "d") this.reduce();
    else if (key === "r") this.resume();
    else if (key === "e") get("edit-symbol").click();
    else if (key === "l") this.edit(null);
    else return false;
    return true;
  }

  // Needs no second word, and is tried again: to halt twice does no harm.
  async halt() {
    this.tell("halting …");
    let why = "";
    for (let each = 0; each < TRIES; each++) {
      try {
        await this.post("halt", {}, 2000);
        return this.tell("Halted: no order leaves. Working orders stay at the exchange.");
      } catch (error) {
        why = error.message;
        if (error.status) break;
      }
    }
    this.alarm(`THE HALT WAS NOT CONFIRMED (${why}). On the engine's machine: turbo-hft halt`);
  }

  async cancel() {
    const lines = ["No order leaves any more.", `All working orders are cancelled (${this.view().totals?.open_orders ?? "?"} now).`];
    const why = await this.ask("Halt and cancel?", lines, "Halt and cancel", true);
    if (why === null) return;
    await this.attempt("halt and cancel", async () => {
      const { result } = await this.post("halt_and_cancel", { confirm: true, why }, 15000);
      const left = result.left.length ? ` LEFT OPEN: ${result.left.map((ref) => `#${ref} ${result.refused[ref] ?? ""}`.trim()).join(", ")}.` : "";
      (left ? this.alarm : this.tell).call(this, `Halted; ${result.canceled} orders cancelled.${left}`);
    });
  }

  async reduce() {
    const why = await this.ask("Only reduce positions?", ["From now on only orders leave that bring a position towards zero."], "Only reduce");
    if (why !== null) await this.attempt("reduce", async () => {
      await this.post("reduce", { confirm: true, why });
      this.tell("Only orders that reduce positions leave now.");
    });
  }

  async resume() {
    const view = this.view(), open = (view.symbols ?? []).filter((row) => row.buy_below_e4 !== null || row.sell_above_e4 !== null).length;
    const lines = [`Orders leave again on ${view.interface ?? "the engine"}, within all limits.`, `${open} symbols have a target.`];
    const why = await this.ask("Resume trading?", lines, "Resume trading");
    if (why !== null) await this.attempt("resume", async () => {
      await this.post("resume", { confirm: true, why });
      this.tell("Trading is resumed.");
    });
  }

  // All settings of a symbol, or of all orders; what was altered is shown once more before it is done.
  async edit(symbol) {
    const view = this.view(), was = structuredClone(symbol === null ? view.settings : view["watched.settings"]);
    if (!was) return this.alarm("There are no settings to change yet.");
    const dialog = get("edit"), fields = get("edit-fields");
    get("edit-title").textContent = symbol === null ? "Settings of all orders" : `Settings of ${symbol}`;
    fields.replaceChildren(...Object.entries(was).map(([key, value]) => {
      const label = document.createElement("label"), input = document.createElement("input");
      label.textContent = key;
      Object.assign(input, { name: key, value: setting(value), autocomplete: "off", spellcheck: false });
      label.append(input);
      return label;
    }));
    const altered = await new Promise((done) => {
      get("edit-form").onsubmit = (event) => {
        event.preventDefault();
        const fresh = [...fields.querySelectorAll("input")].filter((input) => input.value.trim() !== setting(was[input.name]));
        done(fresh.map((input) => [input.name, input.value.trim()]));
        dialog.close();
      };
      dialog.onclose = () => done(null);
      dialog.showModal();
    });
    if (altered === null) return;
    if (!altered.length) return this.tell("Nothing was changed.");
    const lines = altered.map(([key, value]) => `${key}: ${setting(was[key])} → ${value}`);
    const why = await this.ask(symbol === null ? "Change settings of all orders?" : `Change ${symbol}?`, lines, "Change");
    if (why === null) return;
    await this.attempt("change", async () => {
      const seen = Object.fromEntries(altered.map(([key]) => [key, was[key]]));
      await this.post("change", { confirm: true, why, symbol, settings: altered.map(([key, value]) => `${key}=${value}`), was: seen });
      this.tell(`Changed ${symbol ?? "all orders"}: ${lines.join(", ")}`);
    });
  }

  // The reason that was given, or null if the person went back. What lets orders leave is not what Enter does at once.
  ask(title, lines, yes, eager = false) {
    const dialog = get("confirm");
    if (dialog.open) return Promise.resolve(null);
    get("confirm-title").textContent = title;
    get("confirm-lines").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    get("confirm-yes").textContent = yes;
    get("why").value = "";
    return new Promise((done) => {
      get("confirm-form").onsubmit = (event) => {
        event.preventDefault();
        done(get("why").value);
        dialog.close();
      };
      dialog.onclose = () => done(null);
      dialog.showModal();
      get(eager ? "confirm-yes" : "confirm-no").focus();
    });
  }

  async attempt(what, act) {
    try {
      await act();
    } catch (error) {
      this.alarm(`${what}: ${error.message}`);
    }
  }

  async post(act, body, patienceMs = 5000) {
    const answer = await fetch(`/api/${act}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": this.csrf() },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(patienceMs),
    });
    const value = await answer.json().catch(() => ({}));
    if (answer.ok) return value;
    if (answer.status === 401) this.lost();
    throw Object.assign(new Error(value.error ?? `status ${answer.status}`), { status: answer.status });
  }

  tell(text) {
    get("problem").hidden = true;
    get("said").hidden = false;
    get("said").textContent = text;
  }

  alarm(text) {
    get("said").hidden = true;
    get("problem").hidden = false;
    get("problem").textContent = text;
  }
}
