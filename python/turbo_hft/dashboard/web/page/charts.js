// Charts on a canvas: lines over time with marks, and bars. Each reads its colours from the page's style, follows its
// size and the screen's density, and has a crosshair for pointer and arrow keys that says its values in words too.

const LEFT = 8, RIGHT = 62, TOP = 10, BOTTOM = 22;
const charts = new Set();
let scheduled = false;

function schedule(chart) {
  chart.dirty = true;
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    for (const each of charts) if (each.dirty) { each.dirty = false; each.draw(); }
  });
}

for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"])
  matchMedia(query).addEventListener("change", () => charts.forEach(schedule));

// 1, 2 or 5 times a power of ten; whole multiples of it are the ticks.
function niceStep(range, most) {
  const rough = range / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.readout = canvas.parentElement.querySelector(`output[for="${canvas.id}"]`);
    this.at = null; // where the crosshair is: an index into what can be read
    this.dirty = false;
    charts.add(this);
    new ResizeObserver(() => schedule(this)).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerdown", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("blur", () => this.leave());
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      const size = this.places();
      if (event.key === "Escape") this.leave();
      if (!size || (!step && event.key !== "Home" && event.key !== "End")) return;
      event.preventDefault();
      const from = this.at ?? (step < 0 ? size : -1);
      this.at = event.key === "Home" ? 0 : event.key === "End" ? size - 1 : Math.min(size - 1, Math.max(0, from + step));
      this.say();
    });
  }

  leave() { this.at = null; this.say(); }

  say() {
    this.readout.value = this.at === null ? "" : this.words(this.at);
    schedule(this);
  }

  // A canvas ready to be drawn on, in CSS pixels.
  surface() {
    const { clientWidth: width, clientHeight: height } = this.canvas, density = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== wide || this.canvas.height !== high) [this.canvas.width, this.canvas.height] = [wide, high];
    const pen = this.canvas.getContext("2d");
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    const style = getComputedStyle(this.canvas);
    this.color = (name) => style.getPropertyValue(`--${name}`).trim() || style.color;
    return { pen, width, height, right: width - RIGHT, bottom: height - BOTTOM };
  }

  nothing(pen, width, height, text) {
    pen.fillStyle = this.color("soft");
    pen.textAlign = "center";
    pen.fillText(text, width / 2, height / 2);
  }

  level(pen, y, right, text) {
    pen.strokeStyle = this.color("line");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(LEFT, Math.round(y) + 0.5);
    pen.lineTo(right, Math.round(y) + 0.5);
    pen.stroke();
    pen.fillStyle = this.color("soft");
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(text, right + 5, y);
  }
}

export class LineChart extends Chart {
  // `format(y)` and `clock(x, parts)` put values into words; `steps`: values hold until the next one; `least`: the
  // smallest range that is shown, so that next to nothing does not look like much.
  constructor(canvas, { format, clock, least, steps = false, zero = false }) {
    super(canvas);
    Object.assign(this, { format, clock, least, steps, zero, x: [], lines: [], band: null, marks: [], spanS: 0, first: 0 });
  }

  // `x`: ns, ascending; `lines`: [{name, color, y}], null where there is nothing; `band`: {low, high}; `marks`: [{x, y, up, words}].
  set({ x, lines, band = null, marks = [] }) {
    Object.assign(this, { x, lines, band, marks });
    if (this.at !== null) this.at = Math.min(this.at, x.length - 1);
    schedule(this);
  }

  // Only the last so many seconds; 0 = all.
  span(seconds) {
    this.spanS = seconds;
    schedule(this);
  }

  places() { return this.x.length - this.first; }

  words(at) {
    const index = this.first + at, x = this.x[index];
    const values = this.lines.map(({ name, y }) => `${name} ${y[index] === null ? "none" : this.format(y[index])}`);
    const beside = (this.x[index] - (this.x[index - 1] ?? this.x[index] - 5e8)) / 2;
    const near = this.marks.filter((mark) => Math.abs(mark.x - x) <= Math.max(beside, 1e9)).slice(-3);
    return [this.clock(x), ...values, ...near.map((mark) => mark.words)].join(" · ");
  }

  point(offsetX) {
    if (!this.scale || !this.places()) return;
    const wanted = this.scale.from + ((offsetX - LEFT) / (this.scale.right - LEFT)) * (this.scale.to - this.scale.from);
    let best = this.first;
    for (let i = this.first; i < this.x.length; i++) if (Math.abs(this.x[i] - wanted) < Math.abs(this.x[best] - wanted)) best = i;
    this.at = best - this.first;
    this.say();
  }

  draw() {
    const { pen, width, height, right, bottom } = this.surface(), { x } = this;
    const newest = x[x.length - 1];
    this.first = this.spanS ? Math.max(0, x.findIndex((at) => at >= newest - this.spanS * 1e9)) : 0;
    if (x.length - this.first < 2) { this.scale = null; return this.nothing(pen, width, height, "no figures yet"); }
    const from = x[this.first], to = newest;
    let low = Infinity, high = -Infinity;
    const take = (value) => { if (value !== null && value !== undefined) { low = Math.min(low, value); high = Math.max(high, value); } };
    for (let i = this.first; i < x.length; i++) {
      for (const line of this.lines) take(line.y[i]);
      if (this.band) { take(this.band.low[i]); take(this.band.high[i]); }
    }
    const marks = this.marks.filter((mark) => mark.x >= from && mark.x <= to);
    marks.forEach((mark) => take(mark.y));
    if (this.zero) take(0);
    if (low === Infinity) return this.nothing(pen, width, height, "no figures yet");
    const room = Math.max((high - low) * 0.06, (this.least - (high - low)) / 2);
    low -= room; high += room;
    const at = (value) => LEFT + ((value - from) / (to - from)) * (right - LEFT);
    const up = (value) => bottom - ((value - low) / (high - low)) * (bottom - TOP);
    this.scale = { from, to, right };

    const step = niceStep(high - low, Math.floor((bottom - TOP) / 38));
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) this.level(pen, up(value), right, this.format(Math.round(value)));
    const seconds = (to - from) / 1e9, most = Math.max(2, Math.floor((right - LEFT) / 80));
    const stepS = TIME_STEPS.find((each) => seconds / each <= most) ?? 86400;
    const shift = new Date(from / 1e6).getTimezoneOffset() * 60;
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    pen.fillStyle = this.color("soft");
    for (let tick = Math.ceil((from / 1e9 - shift) / stepS) * stepS + shift; tick * 1e9 <= to; tick += stepS) {
      const px = at(tick * 1e9);
      pen.fillRect(px, bottom, 1, 4);
      if (px > LEFT + 20 && px < right - 10) pen.fillText(this.clock(tick * 1e9, stepS < 60 ? 3 : 2), px, height - 5);
    }

    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP - 6, right - LEFT + 1, bottom - TOP + 12);
    pen.clip();
    const hole = (i) => x[i] - x[i - 1] > Math.max(3e9, 4 * (x[i - 1] - (x[i - 2] ?? x[i - 1])));
    if (this.band) {
      pen.fillStyle = this.color(this.band.color);
      pen.globalAlpha = 0.15;
      for (let i = this.first + 1; i < x.length; i++) {
        if (hole(i)) continue;
        const top = up(this.band.high[i]);
        pen.fillRect(at(x[i - 1]), top, Math.max(0.5, at(x[i]) - at(x[i - 1])), Math.max(1, up(this.band.low[i]) - top));
      }
      pen.globalAlpha = 1;
    }
    for (const line of this.lines) {
      pen.strokeStyle = this.color(line.color);
      pen.lineWidth = 1.6;
      pen.beginPath();
      let drawing = false;
      for (let i = this.first; i < x.length; i++) {
        const value = line.y[i];
        if (value === null || value === undefined) { drawing = false; continue; }
        if (!drawing || (i > this.first && hole(i))) pen.moveTo(at(x[i]), up(value));
        else {
          if (this.steps) pen.lineTo(at(x[i]), up(line.y[i - 1]));
          pen.lineTo(at(x[i]), up(value));
        }
        drawing = true;
      }
      pen.stroke();
    }
    for (const mark of marks) {
      const px = at(mark.x), py = up(mark.y), size = mark.up ? 7 : -7;
      pen.fillStyle = this.color(mark.up ? "buy" : "sell");
      pen.strokeStyle = this.color("panel");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(px, py - size);
      pen.lineTo(px - 6, py + size * 0.7);
      pen.lineTo(px + 6, py + size * 0.7);
      pen.closePath();
      pen.fill();
      pen.stroke();
    }
    if (this.at !== null && this.first + this.at < x.length) {
      const px = Math.round(at(x[this.first + this.at])) + 0.5;
      pen.strokeStyle = this.color("soft");
      pen.setLineDash([3, 3]);
      pen.beginPath();
      pen.moveTo(px, TOP);
      pen.lineTo(px, bottom);
      pen.stroke();
      pen.setLineDash([]);
      for (const line of this.lines) {
        const value = line.y[this.first + this.at];
        if (value === null || value === undefined) continue;
        pen.fillStyle = this.color(line.color);
        pen.beginPath();
        pen.arc(px, up(value), 3.5, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    pen.restore();
  }
}

export class BarChart extends Chart {
  constructor(canvas) {
    super(canvas);
    this.bars = [];
    this.lines = [];
  }

  // `bars`: [{count, label, words}], side by side; `lines`: [{place, label}], place counted in bars from the left edge.
  set({ bars, lines }) {
    Object.assign(this, { bars, lines });
    if (this.at !== null && this.at >= bars.length) this.at = null;
    schedule(this);
  }

  places() { return this.bars.length; }

  words(at) { return this.bars[at].words; }

  point(offsetX) {
    if (!this.bars.length) return;
    const each = (this.canvas.clientWidth - RIGHT - LEFT) / this.bars.length;
    this.at = Math.min(this.bars.length - 1, Math.max(0, Math.floor((offsetX - LEFT) / each)));
    this.say();
  }

  draw() {
    const { pen, width, height, right, bottom } = this.surface();
    if (!this.bars.length) return this.nothing(pen, width, height, "no order yet");
    const most = Math.max(...this.bars.map((bar) => bar.count)), top = TOP + 14;
    const each = (right - LEFT) / this.bars.length, up = (value) => bottom - (value / (most * 1.05)) * (bottom - top);
    const step = Math.max(1, niceStep(most, Math.floor((bottom - top) / 38)));
    for (let value = 0; value <= most * 1.05; value += step) this.level(pen, up(value), right, value.toLocaleString("en-US"));
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const skip = Math.ceil(58 / each);
    this.bars.forEach((bar, i) => {
      const left = LEFT + i * each;
      pen.fillStyle = this.color("buy");
      pen.globalAlpha = this.at === i ? 1 : 0.7;
      pen.fillRect(left + 1, up(bar.count), Math.max(1, each - 2), bottom - up(bar.count));
      pen.globalAlpha = 1;
      pen.fillStyle = this.color("soft");
      if (i % skip === 0) pen.fillText(bar.label, left + (i ? 0 : 14), height - 5);
    });
    this.lines.forEach((line, i) => {
      const px = Math.round(LEFT + line.place * each) + 0.5;
      pen.strokeStyle = pen.fillStyle = this.color("sell");
      pen.setLineDash([4, 3]);
      pen.beginPath();
      pen.moveTo(px, top - 2 - (i % 2) * 11);
      pen.lineTo(px, bottom);
      pen.stroke();
      pen.setLineDash([]);
      const turned = px + pen.measureText(line.label).width > right;
      pen.textAlign = turned ? "right" : "left";
      pen.fillText(line.label, px + (turned ? -3 : 3), top - (i % 2) * 11);
    });
  }
}
