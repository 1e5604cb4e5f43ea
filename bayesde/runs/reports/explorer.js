"use strict";
(() => {
  const byId = (name) => document.getElementById(name);
  const data = JSON.parse(byId("explorer-data").textContent);
  const UP = "#d55e00", DOWN = "#0072b2", GREY = "#9a9a9a", BLACK = "#222";
  const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#444"];
  const PER_PAGE = 25, MOST_EVIDENCE = 50, LARGEST_ON_AXIS = 0.999;

  const unpack = (text, Kind) => {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Kind(bytes.buffer);
  };
  const columns = {};
  for (const [name, text] of Object.entries(data.columns)) columns[name] = unpack(text, Float32Array);
  for (const [name, text] of Object.entries(data.logs)) {
    columns[name] = Float64Array.from(unpack(text, Float32Array), (value) => 10 ** value);
  }
  const statusCode = unpack(data.statusCode, Uint8Array);
  const genes = data.genes, n = genes.length, lfc = columns.log2_fold_change;
  const titles = data.names ? genes.map((gene, i) => (data.names[i] ? `${data.names[i]} (${gene})` : gene)) : genes;
  const searched = titles.map((title) => title.toLowerCase());
  const [countedBy, level] = data.counted;
  const called = new Uint8Array(n);
  for (let i = 0; i < n; i++) called[i] = columns[countedBy][i] < level ? 1 : 0;
  const colourOf = (i) => (!called[i] ? GREY : lfc[i] > 0 ? UP : DOWN);

  const detail = data.detail, place = new Int32Array(n).fill(-1);
  let counts, band, quantiles;
  if (detail) {
    unpack(detail.gene, Int32Array).forEach((gene, at) => { if (gene >= 0) place[gene] = at; });
    counts = unpack(detail.counts, Uint16Array);
    band = detail.band && unpack(detail.band, Uint16Array);
    quantiles = detail.quantiles && unpack(detail.quantiles, Int16Array);
  }

  const number = (value) => {
    if (!Number.isFinite(value)) return "";
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 1e-3) return value.toExponential(1);
    if (size >= 1000) return Math.round(value).toLocaleString("en-US");
    return value.toPrecision(3);
  };
  const ticksOf = (low, high, most) => {
    const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const ticks = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) ticks.push(at * step);
    return ticks;
  };
  const plain = (value) => String(+value.toPrecision(6));
  const quantileOf = (values, share) => {
    const sorted = Float64Array.from(values).sort();
    return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : 1;
  };

  // ---- the two plots of all genes ----------------------------------------------------------------------
  const order = [];
  for (const wanted of [0, 1]) for (let i = n - 1; i >= 0; i--) if (called[i] === wanted) order.push(i);
  let selected = -1;
  const plots = [];

  class Scatter {
    constructor(canvas, x, y, options) {
      Object.assign(this, { canvas, x, y, options, view: options.view.slice() });
      this.hover = -1;
      canvas.addEventListener("click", (event) => this.click(event));
      canvas.addEventListener("dblclick", () => { this.view = options.view.slice(); this.draw(); });
      canvas.addEventListener("mousemove", (event) => this.move(event));
      canvas.addEventListener("mouseleave", () => { this.hover = -1; this.from = null; this.draw(); });
      canvas.addEventListener("mousedown", (event) => { this.from = this.at(event); });
      canvas.addEventListener("mouseup", (event) => this.release(event));
      plots.push(this);
    }
    at(event) {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }
    resize() {
      const width = this.canvas.clientWidth, height = Math.round(Math.min(380, Math.max(260, 0.75 * width)));
      const ratio = Math.max(window.devicePixelRatio || 1, 1.5);
      this.canvas.style.height = `${height}px`;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      Object.assign(this, { width, height, ratio, left: 46, bottom: 38, top: 8, right: 8 });
      this.background = null;
    }
    sx(value) {
      const [low, high] = this.view;
      return this.left + ((value - low) / (high - low)) * (this.width - this.left - this.right);
    }
    sy(value) {
      const [, , low, high] = this.view;
      return this.height - this.bottom - ((value - low) / (high - low)) * (this.height - this.top - this.bottom);
    }
    clipped(i) {
      const [x0, x1, y0, y1] = this.view, whole = this.view.every((v, k) => v === this.options.view[k]);
      let x = this.x[i], y = this.y[i], edge = false;
      if (whole) {
        edge = x < x0 || x > x1 || y < y0 || y > y1;
        x = Math.min(Math.max(x, x0), x1);
        y = Math.min(Math.max(y, y0), y1);
      } else if (x < x0 || x > x1 || y < y0 || y > y1) return null;
      return [this.sx(x), this.sy(y), edge];
    }
    draw() {
      if (!this.width) this.resize();
      const key = this.view.join();
      if (!this.background || this.drawn !== key) this.paint(key);
      const context = this.canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      context.drawImage(this.background, 0, 0);
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      for (const [i, name] of [[selected, true], [this.hover, true]]) if (i >= 0) this.mark(context, i, name);
      if (this.from && this.to) {
        context.strokeStyle = BLACK;
        context.strokeRect(this.from[0], this.from[1], this.to[0] - this.from[0], this.to[1] - this.from[1]);
      }
    }
    paint(key) {
      this.background = document.createElement("canvas");
      this.background.width = this.canvas.width;
      this.background.height = this.canvas.height;
      this.drawn = key;
      const context = this.background.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      this.axes(context);
      const large = n > 5000 ? 2 : 3;
      for (const i of order) {
        const at = this.clipped(i);
        if (!at) continue;
        const size = called[i] ? large + 1 : large;
        context.globalAlpha = called[i] ? 0.8 : 0.45;
        context.fillStyle = colourOf(i);
        if (at[2]) {
          context.beginPath();
          context.moveTo(at[0] - 3, at[1] + 3);
          context.lineTo(at[0] + 3, at[1] + 3);
          context.lineTo(at[0], at[1] - 3);
          context.fill();
        } else context.fillRect(at[0] - size / 2, at[1] - size / 2, size, size);
      }
      context.globalAlpha = 1;
    }
    axes(context) {
      const [x0, x1, y0, y1] = this.view, end = this.height - this.bottom;
      context.font = "12px system-ui, sans-serif";
      context.strokeStyle = "#bbb";
      context.fillStyle = "#444";
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(this.left, this.top);
      context.lineTo(this.left, end);
      context.lineTo(this.width - this.right, end);
      context.stroke();
      context.textAlign = "center";
      for (const tick of ticksOf(x0, x1, this.width < 420 ? 4 : 7)) {
        context.fillText(this.options.xText(tick), this.sx(tick), end + 15);
      }
      context.textAlign = "right";
      for (const tick of ticksOf(y0, y1, 6)) context.fillText(plain(tick), this.left - 6, this.sy(tick) + 4);
      context.textAlign = "center";
      context.fillText(this.options.xLabel, (this.left + this.width - this.right) / 2, this.height - 6);
      context.save();
      context.translate(12, (this.top + end) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(this.options.yLabel, 0, 0);
      context.restore();
      context.strokeStyle = "#ddd";
      for (const [vertical, value] of this.options.lines) {
        const at = vertical ? this.sx(value) : this.sy(value);
        if (vertical ? at < this.left || at > this.width : at < this.top || at > end) continue;
        context.beginPath();
        context.moveTo(vertical ? at : this.left, vertical ? this.top : at);
        context.lineTo(vertical ? at : this.width - this.right, vertical ? end : at);
        context.stroke();
      }
    }
    mark(context, i, name) {
      const at = this.clipped(i);
      if (!at) return;
      context.strokeStyle = BLACK;
      context.lineWidth = 2;
      context.fillStyle = colourOf(i);
      context.beginPath();
      context.arc(at[0], at[1], 5, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      if (!name) return;
      context.font = "600 12px system-ui, sans-serif";
      const width = context.measureText(titles[i]).width;
      const x = Math.max(this.left + 2, Math.min(at[0] + 9, this.width - width - 6)), y = Math.max(at[1] - 9, 14);
      context.fillStyle = "rgba(255,255,255,.85)";
      context.fillRect(x - 2, y - 12, width + 4, 16);
      context.fillStyle = BLACK;
      context.textAlign = "left";
      context.fillText(titles[i], x, y);
    }
    nearest(point, within) {
      let best = -1, least = within * within;
      for (let i = 0; i < n; i++) {
        const at = this.clipped(i);
        if (!at) continue;
        const distance = (at[0] - point[0]) ** 2 + (at[1] - point[1]) ** 2;
        if (distance < least || (distance === least && called[i])) { least = distance; best = i; }
      }
      return best;
    }
    move(event) {
      const point = this.at(event);
      if (this.from && event.buttons) this.to = point;
      this.hover = this.to ? -1 : this.nearest(point, 8);
      this.canvas.style.cursor = this.hover >= 0 ? "pointer" : "crosshair";
      this.draw();
    }
    release(event) {
      const [from, to] = [this.from, this.at(event)];
      this.from = this.to = null;
      if (!from || Math.abs(to[0] - from[0]) < 12 || Math.abs(to[1] - from[1]) < 12) return;
      this.zoomed = true;
      const [x0, x1, y0, y1] = this.view;
      const ux = (p) => x0 + ((p - this.left) / (this.width - this.left - this.right)) * (x1 - x0);
      const uy = (p) => y0 + ((this.height - this.bottom - p) / (this.height - this.top - this.bottom)) * (y1 - y0);
      this.view = [ux(Math.min(from[0], to[0])), ux(Math.max(from[0], to[0])),
        uy(Math.max(from[1], to[1])), uy(Math.min(from[1], to[1]))];
      this.draw();
    }
    click(event) {
      if (this.zoomed) { this.zoomed = false; return; }
      const found = this.nearest(this.at(event), 16);
      if (found >= 0) choose(found, true);
    }
  }

  const edge = Math.max(1, 1.05 * quantileOf(lfc.map(Math.abs), LARGEST_ON_AXIS));
  const measured = columns[data.measure[0]];
  const evidence = measured.map((value) => (Number.isNaN(value) ? 0 : Math.min(-Math.log10(value), 320)));
  const top = Math.max(2, Math.min(MOST_EVIDENCE, 1.05 * quantileOf(evidence, 1)));
  new Scatter(byId("volcano"), lfc, evidence, {
    view: [-edge, edge, 0, top], xText: plain, xLabel: "log2 fold change", yLabel: `−log10 ${data.measure[1]}`,
    lines: [[true, 0]],
  });
  if (columns.base_mean) {
    const mean = columns.base_mean.map((value) => Math.log10(Math.max(value, 0.1)));
    new Scatter(byId("ma"), mean, lfc, {
      view: [Math.floor(Math.min(0, quantileOf(mean, 0.001))), 0.2 + quantileOf(mean, 1), -edge, edge],
      xText: (tick) => (Number.isInteger(tick) ? (10 ** tick).toLocaleString("en-US") : ""),
      xLabel: "mean of normalized counts", yLabel: "log2 fold change", lines: [[false, 0]],
    });
  } else byId("ma").parentElement.remove();

  // ---- one gene ----------------------------------------------------------------------------------------
  const svgNode = (parent, name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const W = 440, H = 300, L = 64, R = 10, T = 12, B = 44;
  const cleared = (name) => {
    const svg = byId(name);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
    return svg;
  };
  const frame = (svg, xLabel, yLabel) => {
    svgNode(svg, "path", { d: `M${L} ${T}V${H - B}H${W - R}`, class: "axis" });
    svgNode(svg, "text", { x: (L + W - R) / 2, y: H - 6, class: "middle" }, xLabel);
    svgNode(svg, "text", { transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)`, class: "middle" }, yLabel);
  };

  const showCounts = (at) => {
    const svg = cleared("gene-counts"), n_groups = detail.groups.length, n_samples = detail.samples.length;
    const own = Array.from(counts.subarray(at * n_samples, (at + 1) * n_samples), (v) => 2 ** (v / 2000) - 1);
    const bands = band && Array.from(band.subarray(at * 3 * n_groups, (at + 1) * 3 * n_groups), (v) => 2 ** (v / 2000) - 1);
    const shown = [...own, ...(bands || [])].map((v) => Math.log10(v + 0.5));
    let low = Math.min(...shown), high = Math.max(...shown);
    if (high - low < 0.4) { low -= 0.2; high += 0.2; }
    const room = 0.06 * (high - low), span = high - low + 2 * room;
    const y = (value) => H - B - ((Math.log10(value + 0.5) - low + room) / span) * (H - T - B);
    const step = (W - L - R) / n_groups, x = (group) => L + (group + 0.5) * step;
    frame(svg, detail.variable, "normalized count");
    const marks = [];
    for (let power = -1; power < 8; power++) for (const m of [1, 2, 5]) marks.push(m * 10 ** power);
    let last = Infinity;
    for (const tick of [0, ...marks.filter((m) => m >= 1)]) {
      const place = y(tick);
      if (place > H - B || place < T || last - place < 16) continue;
      last = place;
      svgNode(svg, "text", { x: L - 6, y: place + 4, class: "end" }, tick.toLocaleString("en-US"));
      svgNode(svg, "path", { d: `M${L} ${place}H${W - R}`, class: "grid" });
    }
    for (let group = 0; group < n_groups; group++) {
      const colour = PALETTE[group % PALETTE.length], name = detail.groups[group];
      const room = Math.max(3, Math.floor(step / 7));
      svgNode(svg, "text", { x: x(group), y: H - B + 16, class: "middle" },
        name.length > room ? `${name.slice(0, room - 1)}…` : name);
      if (bands && bands[3 * group + 2] >= 0 && quantiles) {
        const [from, middle, to] = bands.slice(3 * group, 3 * group + 3), half = Math.min(0.34 * step, 60);
        svgNode(svg, "rect", { x: x(group) - half, y: y(to), width: 2 * half, height: Math.max(1, y(from) - y(to)),
          fill: colour, opacity: 0.16 });
        svgNode(svg, "path", { d: `M${x(group) - half} ${y(middle)}h${2 * half}`, stroke: colour, opacity: 0.5 });
      }
      const members = detail.group.map((g, j) => (g === group ? j : -1)).filter((j) => j >= 0);
      members.forEach((j, k) => {
        const shift = members.length > 1 ? (k / (members.length - 1) - 0.5) * Math.min(0.5 * step, 80) : 0;
        const dot = svgNode(svg, "circle", { cx: x(group) + shift, cy: y(own[j]), r: 4.5, fill: colour });
        svgNode(dot, "title", {}, `${detail.samples[j]}: ${number(own[j])}`);
      });
    }
    byId("counts-caption").textContent = "Normalized counts of the samples"
      + (bands ? "; bands: 90 % of the counts that the posterior predicts, and their median." : ".");
  };

  const showEffect = (i, at) => {
    const svg = cleared("gene-effect");
    let points = quantiles && at >= 0
      ? Array.from(quantiles.subarray(at * detail.probabilities.length, (at + 1) * detail.probabilities.length), (v) => v / 1000)
      : null;
    if (points && points.every((v) => v === 0)) points = null;
    const interval = columns.lfc_lower ? [columns.lfc_lower[i], columns.lfc_upper[i]]
      : columns.lfc_se ? [lfc[i] - 1.96 * columns.lfc_se[i], lfc[i] + 1.96 * columns.lfc_se[i]] : [lfc[i], lfc[i]];
    const ends = [0, lfc[i], ...interval, ...(points || [])].filter(Number.isFinite);
    let low = Math.min(...ends), high = Math.max(...ends);
    const room = Math.max(0.08 * (high - low), 0.1);
    low -= room; high += room;
    const x = (value) => L + ((value - low) / (high - low)) * (W - L - R), base = H - B;
    frame(svg, "log2 fold change", points ? "posterior density" : "");
    for (const tick of ticksOf(low, high, 6)) svgNode(svg, "text", { x: x(tick), y: base + 16, class: "middle" }, plain(tick));
    if (points) {
      const p = detail.probabilities, knots = [[points[0], 0]];
      for (let k = 1; k < points.length; k++) {
        const width = Math.max(points[k] - points[k - 1], 0.002);
        knots.push([(points[k] + points[k - 1]) / 2, (p[k] - p[k - 1]) / width]);
      }
      knots.push([points[points.length - 1], 0]);
      const highest = Math.max(...knots.map((knot) => knot[1]));
      const path = knots.map((knot) => `${x(knot[0]).toFixed(1)} ${(base - (knot[1] / highest) * (base - T - 40)).toFixed(1)}`);
      svgNode(svg, "path", { d: `M${path.join("L")}Z`, fill: colourOf(i), opacity: 0.3 });
      svgNode(svg, "path", { d: `M${path.join("L")}`, fill: "none", stroke: colourOf(i), "stroke-width": 1.5 });
    }
    svgNode(svg, "path", { d: `M${x(0)} ${T}V${base}`, class: "zero" });
    const line = points ? T + 16 : (T + base) / 2;
    svgNode(svg, "path", { d: `M${x(interval[0])} ${line}H${x(interval[1])}`, stroke: BLACK, "stroke-width": 2 });
    svgNode(svg, "circle", { cx: x(lfc[i]), cy: line, r: 4.5, fill: BLACK });
    byId("effect-caption").textContent = (points ? "Posterior of the effect, from its quantiles; above it the estimate with its interval."
      : "The estimate with its interval.") + " Dashed: no effect.";
  };

  const choose = (i, fromPlot) => {
    selected = i;
    byId("gene").hidden = false;
    byId("gene-title").textContent = titles[i];
    const parts = data.shown.filter(([name]) => !["lfc_lower", "lfc_upper"].includes(name))
      .map(([name, label]) => `${label} ${number(columns[name][i]) || "none"}`);
    if (columns.lfc_lower) parts.push(`interval ${number(columns.lfc_lower[i])} to ${number(columns.lfc_upper[i])}`);
    byId("gene-text").textContent = `${parts.join("; ")}; status ${data.status[statusCode[i]]}.`;
    const at = place[i];
    byId("gene-counts").parentElement.hidden = at < 0;
    if (at >= 0) showCounts(at);
    showEffect(i, at);
    plots.forEach((plot) => plot.draw());
    if (fromPlot) {
      const row = rows.indexOf(i);
      if (row >= 0) page = Math.floor(row / PER_PAGE);
    }
    fill();
  };

  // ---- the table ---------------------------------------------------------------------------------------
  let rows = [], page = 0, sortedBy = "", ascending = true;
  const head = [["gene", "gene"], ...data.shown, ["status", "status"]];
  const table = document.createElement("table"), header = table.createTHead().insertRow(), body = table.createTBody();
  for (const [name, label] of head) {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      ascending = sortedBy === name ? !ascending : true;
      sortedBy = name;
      select();
    });
    cell.scope = "col";
    cell.dataset.column = name;
    if (columns[name]) cell.className = "number";
    cell.appendChild(button);
    header.appendChild(cell);
  }
  const select = () => {
    const query = byId("search").value.trim().toLowerCase(), only = byId("only-called").checked;
    rows = [];
    for (let i = 0; i < n; i++) if ((!only || called[i]) && (!query || searched[i].includes(query))) rows.push(i);
    if (sortedBy) {
      const sign = ascending ? 1 : -1, values = columns[sortedBy];
      const text = sortedBy === "status" ? (i) => data.status[statusCode[i]] : (i) => titles[i];
      rows.sort((a, b) => {
        if (!values) return sign * (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0);
        const [one, other] = [values[a], values[b]];
        if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
        return sign * (one - other) || a - b;
      });
    }
    for (const cell of header.cells) {
      const own = cell.dataset.column === sortedBy;
      cell.setAttribute("aria-sort", own ? (ascending ? "ascending" : "descending") : "none");
    }
    page = 0;
    fill();
  };
  const fill = () => {
    body.replaceChildren();
    for (const i of rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE)) {
      const row = body.insertRow();
      row.tabIndex = 0;
      row.dataset.gene = genes[i];
      if (i === selected) row.className = "chosen";
      row.addEventListener("click", () => choose(i, false));
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(i, false); });
      for (const [name] of head) {
        const cell = row.insertCell();
        if (columns[name]) { cell.className = "number"; cell.textContent = number(columns[name][i]); }
        else cell.textContent = name === "status" ? data.status[statusCode[i]] : titles[i];
        if (name === "log2_fold_change" && called[i]) cell.style.color = colourOf(i);
      }
    }
    const pages = Math.max(1, Math.ceil(rows.length / PER_PAGE));
    byId("page").textContent = `page ${page + 1} of ${pages.toLocaleString("en-US")}`;
    byId("found").textContent = `${rows.length.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} genes`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page + 1 >= pages;
  };
  byId("search").addEventListener("input", select);
  byId("only-called").addEventListener("change", select);
  byId("previous").addEventListener("click", () => { page--; fill(); });
  byId("next").addEventListener("click", () => { page++; fill(); });

  // ---- begin -------------------------------------------------------------------------------------------
  const explorer = byId("explorer");
  explorer.querySelectorAll("[hidden]").forEach((node) => { if (node.id !== "gene") node.hidden = false; });
  byId("gene-table").replaceChildren(table);
  byId("volcano-caption").textContent = "Volcano plot. Orange: up; blue: down; grey: not counted as changed. "
    + "Triangles lie beyond the axes.";
  if (columns.base_mean) byId("ma-caption").textContent = "MA plot: the same genes, by their mean counts.";
  window.addEventListener("resize", () => plots.forEach((plot) => { plot.resize(); plot.draw(); }));
  select();
  if (n) choose(0, false);
  explorer.dataset.ready = "yes";
})();
