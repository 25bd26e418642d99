// Draws the charts of a backtest's report from the JSON in the page.
// One law: what a chart says under the pointer is a row of the run at its own time, never a number in between.
// Text from files goes in by textContent only. Nothing is fetched and nothing is stored.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const root = document.documentElement;
  const LEGS = ["long", "short"], ROLES = ["entry", "take profit", "stop", "close"];
  const DAY = 86400, MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const MANY_RUNGS = 500; // in view; more are drawn as their band

  // --- series: {t: seconds, v: values} ---------------------------------------------------------------------------------------

  /** How many of a rising list are at or below x. */
  function count(list, x) {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= x) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** Of a series in steps: its value at x, null before the first. */
  function held(series, x) {
    const i = count(series.t, x) - 1;
    return i < 0 ? null : series.v[i];
  }

  /** Index of the row nearest to x, -1 where there is none. */
  function near(series, x) {
    const i = count(series.t, x);
    if (i === 0 || i === series.t.length) return Math.min(i, series.t.length - 1);
    return x - series.t[i - 1] <= series.t[i] - x ? i - 1 : i;
  }

  function reading(series, x) {
    const i = near(series, x);
    return i < 0 ? null : series.v[i];
  }

  /** Indices [from, to) of what is to be seen of a series, and one more on either side. */
  function seen(list) {
    return [Math.max(0, count(list, view[0]) - 1), Math.min(list.length, count(list, view[1]) + 1)];
  }

  /** Widens a range by the visible values of a series; zeros are gaps where they mean "none". */
  function widen(range, series, gaps) {
    const [from, to] = seen(series.t);
    for (let i = from; i < to; i++) {
      const v = series.v[i];
      if (v === null || (gaps && v === 0)) continue;
      if (v < range[0]) range[0] = v;
      if (v > range[1]) range[1] = v;
    }
    return range;
  }

  // --- text ------------------------------------------------------------------------------------------------------------------

  const formats = new Map();
  function number(value, digits, sign) {
    if (value === null || value === undefined) return "–";
    if (!formats.has(digits)) {
      formats.set(digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
    }
    const text = formats.get(digits).format(Math.abs(value));
    return (value < 0 && /[1-9]/.test(text) ? "−" : sign && value > 0 ? "+" : "") + text;
  }
  /** In the digits it has. */
  const exact = value => value === null ? "–" : number(value, Math.min(8, (String(value).split(".")[1] || "").length));
  const two = n => String(n).padStart(2, "0");
  function clock(t) {
    const d = new Date(t * 1000), s = d.getUTCSeconds();
    return two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()) + (s ? ":" + two(s) : "");
  }
  function day(t, year) {
    const d = new Date(t * 1000);
    return d.getUTCDate() + " " + MONTHS[d.getUTCMonth()] + (year ? " " + d.getUTCFullYear() : "");
  }
  const moment = t => day(t, true) + ", " + clock(t);
  function duration(s) {
    for (const [name, size] of [["d", DAY], ["h", 3600], ["min", 60]]) {
      if (s >= 2 * size) return number(s / size, s < 10 * size ? 1 : 0) + " " + name;
    }
    return Math.round(s) + " s";
  }
  function element(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // --- ticks -----------------------------------------------------------------------------------------------------------------

  /** The nicest step that gives about so many ticks: 1, 2 or 5 of a power of ten. */
  function step(span, ticks) {
    const rough = span / Math.max(1, ticks), power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5].find(n => n * power >= rough) || 10);
  }
  const digits = size => Math.max(0, -Math.floor(Math.log10(size) + 1e-9));

  const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, DAY, 2 * DAY, 4 * DAY, 7 * DAY];
  /** [time, label, is it the start of a larger unit?] */
  function timeTicks(from, to, ticks) {
    const size = STEPS.find(s => s >= (to - from) / ticks), found = [];
    if (!size) return monthTicks(from, to, ticks);
    const shift = size === 7 * DAY ? 4 * DAY : 0; // weeks begin on Monday; 1 January 1970 was a Thursday
    for (let t = Math.ceil((from - shift) / size) * size + shift; t <= to; t += size) {
      const midnight = t % DAY === 0, first = midnight && new Date(t * 1000).getUTCDate() <= size / DAY && size >= DAY;
      found.push([t, midnight ? day(t) : clock(t), size < DAY ? midnight : first]);
    }
    return found;
  }
  function monthTicks(from, to, ticks) {
    const size = [1, 2, 3, 6, 12, 24, 60, 120].find(n => n * 30.4 * DAY >= (to - from) / ticks) || 240, found = [];
    const start = new Date(from * 1000);
    for (let month = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / size) * size; ; month += size) {
      const t = Date.UTC(Math.floor(month / 12), month % 12) / 1000;
      if (t > to) return found;
      if (t >= from) found.push([t, month % 12 ? MONTHS[month % 12] : String(month / 12), month % 12 === 0]);
    }
  }

  // --- what all charts share: the colours, the view, the pointer ----------------------------------------------------------------

  const NAMES = ["ink", "soft", "grid", "axis", "long", "short", "gain", "loss", "trip", "price", "up", "down", "paper",
    "s0", "s1", "s2", "s3", "s4", "s5"];
  let colour = {};
  function readColours() {
    const style = getComputedStyle(root);
    colour = Object.fromEntries(NAMES.map(name => [name, style.getPropertyValue("--" + name).trim()]));
  }

  const whole = [data.start, Math.max(data.end, data.start + 1)];
  const least = Math.min(whole[1] - whole[0], Math.max(1, 6 * data.bar));
  let view = whole.slice(), pointer = null, waiting = false;
  const charts = [], pill = document.getElementById("zoom");

  function show(from, to) {
    const width = Math.min(whole[1] - whole[0], Math.max(least, to - from)), middle = (from + to) / 2;
    const start = Math.min(Math.max(whole[0], middle - width / 2), whole[1] - width);
    view = [start, start + width];
    pill.hidden = width >= whole[1] - whole[0];
    const coarse = data.spacing > data.bar && width < 100 * data.spacing; // so near that the line's own points show
    pill.firstChild.textContent = moment(Math.round(view[0] / 60) * 60) + " – " + moment(Math.round(view[1] / 60) * 60)
      + ", " + duration(width) + (coarse ? "; lines have two bars of every " + duration(data.spacing) : "");
    repaint();
  }
  function repaint() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paintAll(); });
  }
  function paintAll(ratio) {
    readColours();
    for (const chart of charts) chart.paint(ratio);
  }
  /** The pointer is at time t; on one chart it is also at a place [x, y]. */
  function point(t, chart, place) {
    pointer = t;
    for (const each of charts) each.point(t, each === chart ? place : null);
  }

  // --- drawing ---------------------------------------------------------------------------------------------------------------

  function line(pen, series, stroke, width) {
    const [from, to] = seen(series.t), c = pen.c;
    c.beginPath();
    for (let i = from; i < to; i++) c.lineTo(pen.x(series.t[i]), pen.y(series.v[i]));
    stroked(c, stroke, width);
  }
  /** A line in steps. With `gaps` a zero is nothing. */
  function steps(pen, series, stroke, width, gaps, dash) {
    const [from, to] = seen(series.t), c = pen.c;
    let down = false;
    c.beginPath();
    for (let i = from; i < to; i++) {
      const v = series.v[i], end = i + 1 < series.t.length ? series.t[i + 1] : whole[1];
      if (gaps && v === 0) { down = false; continue; }
      if (down && !gaps) c.lineTo(pen.x(series.t[i]), pen.y(v)); else c.moveTo(pen.x(series.t[i]), pen.y(v));
      c.lineTo(pen.x(end), pen.y(v));
      down = true;
    }
    c.setLineDash(dash || []);
    stroked(c, stroke, width);
    c.setLineDash([]);
  }
  /** The area between steps and zero; `sign` turns it around. */
  function area(pen, series, fill, sign, smooth) {
    const [from, to] = seen(series.t), c = pen.c;
    if (from >= to) return;
    c.beginPath();
    c.moveTo(pen.x(series.t[from]), pen.y(0));
    for (let i = from; i < to; i++) {
      const y = pen.y(sign * series.v[i]), end = i + 1 < series.t.length ? series.t[i + 1] : whole[1];
      c.lineTo(pen.x(series.t[i]), y);
      if (!smooth) c.lineTo(pen.x(end), y);
    }
    c.lineTo(pen.x(smooth ? series.t[to - 1] : to < series.t.length ? series.t[to] : whole[1]), pen.y(0));
    filled(c, fill);
  }
  function stroked(c, style, width) {
    c.strokeStyle = style;
    c.lineWidth = width || 1;
    c.stroke();
  }
  function filled(c, style) {
    c.fillStyle = style;
    c.fill();
  }
  function faint(c, alpha, draw) {
    c.globalAlpha = alpha;
    draw();
    c.globalAlpha = 1;
  }

  /** A fill: entries are triangles that point where the leg earns, take-profits rings, stops crosses, closes diamonds. */
  function mark(c, role, leg, x, y, r) {
    const ink = colour[LEGS[leg]], up = leg ? -1 : 1;
    c.beginPath();
    if (role === 0) {
      c.moveTo(x, y - up * r); c.lineTo(x + r, y + up * r * 0.8); c.lineTo(x - r, y + up * r * 0.8); c.closePath();
    } else if (role === 1) c.arc(x, y, r * 0.85, 0, 7);
    else if (role === 2) {
      c.moveTo(x - r, y - r); c.lineTo(x + r, y + r); c.moveTo(x + r, y - r); c.lineTo(x - r, y + r);
    } else {
      c.moveTo(x, y - r * 1.2); c.lineTo(x + r * 1.2, y); c.lineTo(x, y + r * 1.2); c.lineTo(x - r * 1.2, y); c.closePath();
    }
    if (role === 2) { stroked(c, colour.paper, 4.5); stroked(c, ink, 2); return; }
    filled(c, role === 1 ? colour.paper : ink);
    stroked(c, role === 1 ? ink : colour.paper, role === 1 ? Math.min(1.6, r / 2) : 0.6);
  }

  function regimes(pen, series) {
    const [from, to] = seen(series.t);
    for (let i = from; i < to; i++) {
      const v = series.v[i];
      if (!v) continue;
      const x = pen.x(series.t[i]), end = pen.x(i + 1 < series.t.length ? series.t[i + 1] : whole[1]);
      pen.c.fillStyle = v > 0 ? colour.up : colour.down;
      pen.c.fillRect(x, pen.top, end - x, pen.height);
    }
  }

  /** The ladders: the band that all rungs lay in, and over it the rungs themselves where they are few enough to tell apart. */
  function ladders(pen, symbol) {
    const c = pen.c, { t } = symbol.band, [from, to] = seen(t), wide = (data.end - data.start) / t.length;
    const rungs = symbol.rungs, inside = [];
    for (let i = 0; i < rungs.t.length && rungs.t[i] < view[1] && inside.length <= MANY_RUNGS; i++) {
      if (rungs.end[i] > view[0]) inside.push(i);
    }
    const apart = inside.length <= MANY_RUNGS, all = apart && rungs.t.length === rungs.total;
    if (!all) LEGS.forEach(leg => {
      const { low, high } = symbol.band[leg];
      faint(c, apart ? 0.05 : 0.11, () => {
        c.fillStyle = colour[leg];
        c.beginPath();
        for (let i = from, start = from; i < to; i++) {
          if (i + 1 < to && low[i + 1] === low[i] && high[i + 1] === high[i]) continue;
          const x = pen.x(t[start]), y = pen.y(high[i]);
          if (low[i] !== null) c.rect(x, y, pen.x(t[i] + wide) - x, Math.max(1, pen.y(low[i]) - y));
          start = i + 1;
        }
        c.fill();
      });
    });
    if (!apart) return;
    faint(c, 0.55, () => LEGS.forEach((leg, side) => {
      c.beginPath();
      for (const i of inside) {
        if (rungs.leg[i] !== side) continue;
        const y = Math.round(pen.y(rungs.price[i])) + 0.5;
        c.moveTo(pen.x(rungs.t[i]), y);
        c.lineTo(Math.max(pen.x(rungs.end[i]), pen.x(rungs.t[i]) + 1), y);
      }
      stroked(c, colour[leg], 1);
    }));
  }

  function fillsInView(fills, hidden) {
    const found = [];
    for (let i = count(fills.t, view[0] - 1e-6); i < fills.t.length && fills.t[i] <= view[1]; i++) {
      if (!hidden.has("role" + fills.role[i])) found.push(i);
    }
    return found;
  }

  function drawFills(pen, symbol, hidden) {
    const fills = symbol.fills, inside = fillsInView(fills, hidden), per = inside.length / pen.width;
    const r = per > 1 ? 1.8 : per > 0.4 ? 2.3 : per > 0.15 ? 3.4 : 5;
    for (const late of [false, true]) { // what ended a leg lies on top
      for (const i of inside) {
        if (fills.role[i] > 1 !== late) continue;
        mark(pen.c, fills.role[i], fills.leg[i], pen.x(fills.t[i]), pen.y(fills.price[i]), late ? r + 1 : r);
      }
    }
  }

  /** How far a key moves the two ends of the view, in widths of it. */
  const MOVES = {
    ArrowLeft: [-0.15, -0.15], ArrowRight: [0.15, 0.15], "+": [0.2, -0.2], "=": [0.2, -0.2], "-": [-0.35, 0.35], Escape: [0, 0],
  };

  // --- one chart -------------------------------------------------------------------------------------------------------------

  class Chart {
    constructor(figure, spec) {
      Object.assign(this, { figure, spec, hidden: new Set(spec.off || []), swatches: [] });
      this.plot = figure.querySelector(".plot");
      this.read = figure.querySelector(".read");
      this.canvas = this.plot.appendChild(element("canvas"));
      this.rule = this.plot.appendChild(element("i", "rule"));
      this.chosen = this.plot.appendChild(element("i", "chosen"));
      this.height = this.plot.appendChild(element("i", "height"));
      this.level = this.plot.appendChild(element("span", "level"));
      this.tip = this.plot.appendChild(element("div", "tip"));
      this.legend();
      this.listen();
      new ResizeObserver(repaint).observe(this.plot);
    }

    legend() {
      const host = this.figure.querySelector(".legend");
      for (const [key, label, swatch] of this.spec.legend || []) {
        const item = host.appendChild(element("button"));
        item.type = "button";
        item.setAttribute("aria-pressed", String(!this.hidden.has(key)));
        const canvas = item.appendChild(element("canvas"));
        item.append(label);
        this.swatches.push([canvas, swatch]);
        item.addEventListener("click", () => {
          if (!this.hidden.delete(key)) this.hidden.add(key);
          item.setAttribute("aria-pressed", String(!this.hidden.has(key)));
          repaint();
        });
      }
    }

    paint(ratio) {
      const scale = ratio || Math.max(1, window.devicePixelRatio || 1), box = this.plot.getBoundingClientRect();
      const width = Math.round(this.plot.clientWidth), height = Math.round(this.plot.clientHeight);
      if (!width || !height || !box.width) return;
      const c = prepared(this.canvas, width, height, scale);
      const right = width < 520 ? 54 : 66, top = this.spec.top || 6, bottom = 20;
      const range = this.spec.range(this.hidden), tall = height - top - bottom;
      const pen = this.pen = { c, top, width: width - right, height: tall };
      pen.x = t => (t - view[0]) / (view[1] - view[0]) * pen.width;
      pen.t = x => view[0] + x / pen.width * (view[1] - view[0]);
      pen.y = v => top + (range[1] - v) / (range[1] - range[0]) * tall;
      pen.v = y => range[1] - (y - top) / tall * (range[1] - range[0]);
      this.axes(pen, range, width);
      c.save();
      c.beginPath();
      c.rect(0, top, pen.width, tall);
      c.clip();
      c.lineJoin = "round";
      this.spec.draw(pen, this.hidden);
      c.restore();
      trips(pen, this.spec.flags);
      for (const [canvas, swatch] of this.swatches) swatch(prepared(canvas, 22, 14, scale));
      this.point(pointer, null);
    }

    axes(pen, range, width) {
      const { c, top, height } = pen, size = step(range[1] - range[0], Math.max(4, height / 40)), places = digits(size);
      const label = this.spec.label || number;
      c.font = "11px " + getComputedStyle(this.plot).fontFamily;
      c.lineWidth = 1;
      c.textBaseline = "middle";
      for (let k = Math.ceil(range[0] / size - 1e-9); k * size <= range[1] + size * 1e-9; k++) {
        const y = Math.round(pen.y(k * size)) + 0.5;
        c.fillStyle = k === 0 && this.spec.zero ? colour.axis : colour.grid;
        c.fillRect(0, y - 0.5, pen.width, 1);
        c.fillStyle = colour.soft;
        c.fillText(label(k * size, places), pen.width + 7, Math.min(y, top + height - 3));
      }
      c.textBaseline = "alphabetic";
      for (const [t, label, large] of timeTicks(view[0], view[1], pen.width / (pen.width < 500 ? 62 : 74))) {
        const x = Math.round(pen.x(t)), half = c.measureText(label).width / 2;
        c.fillStyle = large ? colour.axis : colour.grid;
        c.fillRect(x, top, 1, height + 4);
        c.fillStyle = large ? colour.ink : colour.soft;
        if (x + half <= width) c.fillText(label, Math.max(0, x - half), top + height + 16);
      }
      c.fillStyle = colour.axis;
      c.fillRect(0, top + height, pen.width, 1);
    }

    /** Shows what is at a time, and at a place where the pointer is on this chart. */
    point(t, place) {
      const { pen, rule, level, height, tip } = this;
      if (!pen) return;
      const inside = t !== null && t >= view[0] && t <= view[1];
      rule.hidden = !inside;
      level.hidden = height.hidden = tip.hidden = !place || !inside;
      if (inside) rule.style.transform = `translateX(${pen.x(t)}px)`;
      rule.style.top = pen.top + "px";
      rule.style.height = pen.height + "px";
      this.tell(inside ? t : Math.min(view[1], data.end));
      if (level.hidden) return;
      const [x, y] = place, v = pen.v(y), span = pen.v(0) - pen.v(pen.height);
      level.textContent = (this.spec.label || number)(v, digits(step(span, 100)));
      level.style.top = height.style.top = y + "px";
      height.style.width = pen.width + "px";
      level.style.left = pen.width + "px";
      this.hint(x, y);
    }

    tell(t) {
      this.read.replaceChildren(element("time", "", moment(data.bar < 59 ? Math.round(t) : Math.round(t / 60) * 60)));
      for (const [name, value, tint] of this.spec.read(t, this.hidden)) {
        const item = this.read.appendChild(element("span", "", ""));
        if (name) item.append(element("em", "", name));
        const said = item.appendChild(element("b", "", value));
        if (tint) said.style.color = `var(--${tint})`;
      }
    }

    hint(x, y) {
      const lines = this.spec.hint ? this.spec.hint(this.pen, x, y, this.hidden) : null;
      this.tip.hidden = !lines;
      if (!lines) return;
      this.tip.replaceChildren(...lines.map((text, i) => element(i ? "span" : "b", "", text)));
      const left = x > this.pen.width / 2;
      this.tip.style.left = left ? "auto" : x + 14 + "px";
      this.tip.style.right = left ? this.plot.clientWidth - x + 14 + "px" : "auto";
      this.tip.style.top = Math.min(y + 10, this.pen.top + this.pen.height - this.tip.offsetHeight) + "px";
    }

    // The pointer: move to read, drag to zoom, shift-drag to move, double-click for the whole run; on a screen, tap and double-tap.
    listen() {
      const plot = this.plot;
      let from = null, grip = null, tapped = 0;
      const at = event => Math.min(Math.max(0, event.clientX - plot.getBoundingClientRect().left), this.pen.width);
      const high = event => event.clientY - plot.getBoundingClientRect().top;
      const drop = () => { from = grip = null; this.chosen.style.width = "0"; };
      const read = event => {
        const x = at(event), y = high(event), t = this.pen.t(x);
        point(this.spec.snap ? this.spec.snap(t) : t, this, y >= this.pen.top && y <= this.pen.top + this.pen.height ? [x, y] : null);
      };
      plot.addEventListener("pointerdown", event => {
        if (!this.pen || event.button) return;
        if (event.shiftKey) grip = [at(event), view.slice()]; else from = at(event);
        plot.setPointerCapture(event.pointerId);
        read(event);
      });
      plot.addEventListener("pointermove", event => {
        if (!this.pen) return;
        if (grip) {
          const shift = (grip[0] - at(event)) / this.pen.width * (grip[1][1] - grip[1][0]);
          show(grip[1][0] + shift, grip[1][1] + shift);
        }
        read(event);
        if (from === null) return;
        const x = at(event);
        this.chosen.style.transform = `translateX(${Math.min(x, from)}px)`;
        this.chosen.style.width = Math.abs(x - from) + "px";
      });
      plot.addEventListener("pointerup", event => {
        if (from !== null && Math.abs(at(event) - from) > 6) {
          const ends = [this.pen.t(from), this.pen.t(at(event))].sort((a, b) => a - b);
          show(ends[0], ends[1]);
        } else if (event.pointerType !== "mouse") {
          if (event.timeStamp - tapped < 350) show(...whole);
          tapped = event.timeStamp;
        }
        drop();
      });
      plot.addEventListener("pointercancel", drop);
      plot.addEventListener("dblclick", () => show(...whole));
      plot.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") point(null); });
      plot.addEventListener("keydown", event => {
        const move = MOVES[event.key], width = view[1] - view[0];
        if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        if (event.key === "Escape") show(...whole); else show(view[0] + move[0] * width, view[1] + move[1] * width);
      });
    }
  }

  function prepared(canvas, width, height, scale) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = width + "px";
    const c = canvas.getContext("2d");
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, width, height);
    return c;
  }

  /** Breaker trips as vertical lines; with `flags` their numbers above, one flag for several that are too near to tell apart. */
  function trips(pen, flags) {
    const c = pen.c, groups = [];
    for (const trip of data.trips) {
      if (trip.t < view[0] || trip.t > view[1]) continue;
      const x = Math.round(pen.x(trip.t)) + 0.5, last = groups[groups.length - 1];
      c.setLineDash([3, 3]);
      c.beginPath();
      c.moveTo(x, pen.top);
      c.lineTo(x, pen.top + pen.height);
      stroked(c, colour.trip, 1);
      c.setLineDash([]);
      if (last && x - last.end < 22) { last.end = x; last.to = trip.n; } else groups.push({ x, end: x, from: trip.n, to: trip.n });
    }
    if (!flags) return;
    for (const { x, end, from, to } of groups) {
      const text = from === to ? String(from) : from + "–" + to, wide = c.measureText(text).width + 9;
      const left = Math.min(Math.max(0, (x + end - wide) / 2), pen.width - wide);
      c.fillStyle = colour.trip;
      c.fillRect(left, 1, wide, 15);
      c.fillStyle = colour.paper;
      c.fillText(text, left + 4.5, 12.5);
    }
  }

  // --- the kinds of charts ---------------------------------------------------------------------------------------------------

  /** A little air above and below; a flat line gets a range too. */
  function aired([low, high], share) {
    if (!(low <= high)) return [0, 1];
    const air = (high - low) * share || Math.abs(high) * 0.01 || 1;
    return [low - air, high + air];
  }

  function priceRange(symbol, hidden) {
    const range = widen([Infinity, -Infinity], symbol.close), fills = symbol.fills;
    for (const i of fillsInView(fills, hidden)) {
      range[0] = Math.min(range[0], fills.price[i]);
      range[1] = Math.max(range[1], fills.price[i]);
    }
    const tall = range[1] - range[0], far = [range[0], range[1]];
    if (!hidden.has("averages")) LEGS.forEach(leg => widen(far, symbol[leg].entry, true));
    if (!hidden.has("rungs")) LEGS.forEach(leg => {
      for (const edge of ["low", "high"]) widen(far, { t: symbol.band.t, v: symbol.band[leg][edge] });
    });
    if (!hidden.has("stops")) LEGS.forEach(leg => widen(far, symbol[leg].stop, true));
    // What lies far away must not flatten the price: it gets half a height of it on either side, no more.
    return aired([Math.max(far[0], range[0] - tall * 0.5), Math.min(far[1], range[1] + tall * 0.5)], 0.04);
  }

  function dashed(c, tint, dash, y) {
    c.beginPath();
    c.moveTo(1, y);
    c.lineTo(21, y);
    c.setLineDash(dash);
    stroked(c, tint, 1.5);
    c.setLineDash([]);
  }
  const both = role => c => { mark(c, role, 0, 6, 7, 4); mark(c, role, 1, 16, 7, 4); };

  function priceChart(symbol) {
    const places = symbol.close.v.reduce((most, v) => Math.max(most, (String(v).split(".")[1] || "").length), 0);
    const price = value => number(value, Math.min(8, places));
    return {
      top: 18, flags: true, off: symbol.center.v.some(v => v) ? ["center"] : [],
      legend: [
        ["role0", "entry", both(0)], ["role1", "take profit", both(1)], ["role2", "stop", both(2)], ["role3", "close", both(3)],
        ["averages", "average entry", c => { dashed(c, colour.long, [], 4); dashed(c, colour.short, [], 10); }],
        ["stops", "stop price", c => { dashed(c, colour.long, [2, 2], 4); dashed(c, colour.short, [2, 2], 10); }],
        ["rungs", "ladders", c => faint(c, 0.55, () => [2.5, 5.5, 9.5, 12.5].forEach((y, i) => dashed(c, colour[LEGS[i >> 1]], [], y)))],
        ["center", "center", c => dashed(c, colour.soft, [5, 3], 7)],
        ["regime", "regime up, down", c => ["up", "down"].forEach((way, i) => { c.fillStyle = colour[way]; c.fillRect(11 * i, 0, 11, 14); })],
      ],
      range: hidden => priceRange(symbol, hidden),
      draw(pen, hidden) {
        if (!hidden.has("regime")) regimes(pen, symbol.regime);
        if (!hidden.has("rungs")) ladders(pen, symbol);
        if (!hidden.has("center")) steps(pen, symbol.center, colour.soft, 1, true, [5, 3]);
        line(pen, symbol.close, colour.price, 1.25);
        LEGS.forEach(leg => {
          if (!hidden.has("averages")) steps(pen, symbol[leg].entry, colour[leg], 1.5, true);
          if (!hidden.has("stops")) steps(pen, symbol[leg].stop, colour[leg], 1.25, true, [2, 2]);
        });
        drawFills(pen, symbol, hidden);
      },
      snap: t => { const i = near(symbol.close, t); return i < 0 ? t : symbol.close.t[i]; },
      read(t) {
        const regime = held(symbol.regime, t), named = regime === null ? "–" : ["down", "sideways", "up"][regime + 1];
        const said = [["", price(reading(symbol.close, t))], ["regime", named || String(regime)]];
        return said.concat(LEGS.map(leg => {
          const side = symbol[leg], qty = held(side.qty, t), stop = held(side.stop, t);
          const has = qty ? exact(qty) + " @ " + price(held(side.entry, t)) + (stop ? ", stop " + price(stop) : "") : "flat";
          return [leg, has + ", " + number(held(side.rungs, t), 0) + " rungs", leg];
        }));
      },
      hint: (pen, x, y, hidden) => fillAt(pen, x, y, symbol.fills, hidden),
    };
  }

  /** The lines of a hint on the fill nearest to the pointer, if one is near enough. */
  function fillAt(pen, x, y, fills, hidden) {
    let best = 14 ** 2, hit = -1, more = 0;
    for (const i of fillsInView(fills, hidden)) {
      const far = (pen.x(fills.t[i]) - x) ** 2 + (pen.y(fills.price[i]) - y) ** 2;
      if (far < 14 ** 2) more++;
      if (far < best) { best = far; hit = i; }
    }
    if (hit < 0) return null;
    const what = ROLES[fills.role[hit]] + ", " + LEGS[fills.leg[hit]];
    const lines = [what, exact(fills.qty[hit]) + " @ " + exact(fills.price[hit]), moment(fills.t[hit])];
    if (fills.role[hit]) lines.push("realised " + number(fills.realized[hit], 2, true) + " USDT");
    lines.push("fee " + number(fills.fee[hit], 4) + " USDT");
    if (fills.reasons[fills.why[hit]]) lines.push(fills.reasons[fills.why[hit]]);
    if (more > 1) lines.push("and " + (more - 1) + " more here");
    return lines;
  }

  function equityChart({ equity, wallet }) {
    return {
      legend: [
        ["equity", "equity", c => dashed(c, colour.price, [], 7)],
        ["wallet", "wallet (realised)", c => dashed(c, colour.gain, [], 7)],
      ],
      range: hidden => {
        const range = [Infinity, -Infinity];
        if (!hidden.has("equity")) widen(range, equity);
        if (!hidden.has("wallet")) widen(range, wallet);
        return aired(range, 0.08);
      },
      draw(pen, hidden) {
        if (!hidden.has("wallet")) steps(pen, wallet, colour.gain, 1.25);
        if (!hidden.has("equity")) line(pen, equity, colour.price, 1.5);
      },
      snap: t => equity.t[near(equity, t)] ?? t,
      read(t) {
        const total = reading(equity, t), at = equity.t[near(equity, t)] ?? t, real = held(wallet, at);
        const open = total === null || real === null ? 0 : total - real;
        const tint = open < 0 ? "loss" : open > 0 ? "gain" : "";
        return [["equity", number(total, 2) + " USDT"], ["wallet", number(real, 2)], ["unrealised", number(open, 2, true), tint]];
      },
    };
  }

  function drawdownChart({ drawdown }) {
    const upside = { t: drawdown.t, v: drawdown.v.map(v => -v) };
    return {
      zero: true,
      range: () => [aired(widen([Infinity, 0], upside), 0.1)[0], 0],
      label: (v, places) => number(v, places) + " %",
      draw(pen) {
        faint(pen.c, 0.22, () => area(pen, upside, colour.loss, 1, true));
        line(pen, upside, colour.loss, 1.25);
      },
      read: t => [["below the peak", number(reading(drawdown, t), 2) + " %", "loss"]],
    };
  }

  function heldChart(symbol) {
    const sides = [[symbol.long.qty, 1, "long"], [symbol.short.qty, -1, "short"]];
    return {
      zero: true,
      range() {
        const range = [0, 0];
        for (const [qty, sign] of sides) { const own = widen([0, 0], qty); if (sign > 0) range[1] = own[1]; else range[0] = -own[1]; }
        return range[0] === range[1] ? [-1, 1] : aired(range, 0.08);
      },
      draw(pen) {
        for (const [qty, sign, leg] of sides) {
          faint(pen.c, 0.3, () => area(pen, qty, colour[leg], sign));
          steps(pen, { t: qty.t, v: qty.v.map(v => sign * v) }, colour[leg], 1.25);
        }
      },
      read(t) {
        const price = reading(symbol.close, t), has = sides.map(([qty, sign]) => sign * (held(qty, t) || 0));
        const worth = qty => qty ? exact(Math.abs(qty)) + " = " + number(Math.abs(qty) * price, 0) + " USDT" : "flat";
        return [...LEGS.map((leg, i) => [leg, worth(has[i]), leg]), ["net", number((has[0] + has[1]) * price, 0, true) + " USDT"]];
      },
    };
  }

  /** One line of steps for each symbol: the funding rate, or what funding has cost. */
  function perSymbol(name, factor, places, unit) {
    const each = data.symbols.map((symbol, i) => {
      const { t, v } = symbol[name];
      return { symbol: symbol.symbol, tint: "s" + i % 6, t, v: v.map(value => value * factor) };
    });
    const total = t => each.reduce((sum, one) => sum + (held(one, t) || 0), 0);
    return {
      zero: true,
      legend: each.length < 2 ? [] : each.map(one => [one.symbol, one.symbol, c => dashed(c, colour[one.tint], [], 7)]),
      range(hidden) {
        const range = each.filter(one => !hidden.has(one.symbol)).reduce((found, one) => widen(found, one), [0, 0]);
        return range[0] === range[1] ? [-1, 1] : aired(range, 0.1);
      },
      draw(pen, hidden) {
        for (const one of each) {
          if (hidden.has(one.symbol)) continue;
          if (each.length === 1) faint(pen.c, 0.18, () => area(pen, one, colour[one.tint], 1));
          steps(pen, one, colour[one.tint], 1.25);
        }
      },
      read(t) {
        const several = each.length > 1, value = one => number(held(one, t), places, name === "rate") + " " + unit;
        const said = each.map(one => [several ? one.symbol : "", value(one), several ? one.tint : ""]);
        return several && name === "funding" ? [...said, ["all", number(total(t), places) + " " + unit]] : said;
      },
    };
  }

  const KINDS = {
    price: symbol => priceChart(symbol),
    held: symbol => heldChart(symbol),
    equity: () => equityChart(data.account),
    drawdown: () => drawdownChart(data.account),
    rate: () => perSymbol("rate", 1e4, 3, "bps"),
    funding: () => perSymbol("funding", 1, 2, "USDT"),
  };

  // --- tables ----------------------------------------------------------------------------------------------------------------

  function sortable(table) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(each => each.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => row.cells[column].dataset.v, numeric = [...body.rows].every(row => !key(row) || isFinite(key(row)));
      const compare = numeric ? (a, b) => (key(a) === "") - (key(b) === "") || key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
      body.append(...[...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b)));
    }));
  }

  /** A time in a table shows its place in the charts, with air around it. */
  function go(button) {
    const from = Number(button.dataset.from), to = button.dataset.to ? Number(button.dataset.to) : whole[1];
    const air = Math.max((to - from) * 0.25, 30 * data.bar, (whole[1] - whole[0]) / 200);
    show(from - air, to + air);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.querySelector(".chart").scrollIntoView({ behavior: still ? "auto" : "smooth" });
  }

  // --- begin -----------------------------------------------------------------------------------------------------------------

  document.querySelectorAll("table.sortable").forEach(sortable);
  const times = document.querySelectorAll("button.go");
  if (!data.symbols) {
    for (const button of times) button.disabled = true;
    return;
  }
  for (const figure of document.querySelectorAll(".chart")) {
    const { kind, symbol } = figure.dataset;
    charts.push(new Chart(figure, KINDS[kind](data.symbols[symbol])));
  }
  for (const button of times) button.addEventListener("click", () => go(button));
  pill.querySelector("button").addEventListener("click", () => show(...whole));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  const folded = [];
  addEventListener("beforeprint", () => {
    root.classList.add("on-paper");
    folded.push(...document.querySelectorAll("details:not([open])"));
    folded.forEach(each => { each.open = true; });
    pointer = null;
    paintAll(2);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("on-paper");
    folded.splice(0).forEach(each => { each.open = false; });
    paintAll();
  });
  paintAll();
})();
