// The curves. Several runs: a colour and a letter each; several lines of a run: a dash pattern and a label at the end of each.
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4]];
const HEIGHT = 210, ENDS = 104;  // pixels; ENDS: for the labels at the ends of the curves
const charts = new Map();  // key -> {plot, signature}
let chosen = 0;  // the step that the page is about
let axis = "steps";

const ink = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const colour = number => ink(`c${number % 6}`);
const faint = (colour, strength = "33") => colour + strength;

// The places of a run's steps on the x axis; uPlot needs them to rise.
const places = run => run.places[axis];
for (const run of state.runs) place(run);
function place(run) {
  run.places = {steps: run.steps, hours: run.hours.map((value, i) => value + i * 1e-9)};
  run.row = {steps: new Map(run.steps.map((step, i) => [step, i])), hours: new Map(run.places.hours.map((x, i) => [x, i]))};
}

function cell(line, row, unit) {  // a figure with its denominator and interval, as text
  const value = line.values[row];
  if (value === null || value === undefined) return "–";
  const show = unit === "share" ? percent : figure;
  const of = line.of && line.of[row];
  const count = line.count && line.count[row];
  let text = show(value);
  if (of) text += count === null || count === undefined ? ` of ${whole(of)} ${line.what}` : ` (${whole(count)} of ${whole(of)})`;
  const spread = line.spread && line.spread[row];
  const [low, high] = line.low ? [line.low[row], line.high[row]] : spread ? [value - spread, value + spread] : [];
  if (low !== undefined) text += unit === "share"
    ? ` [${(100 * Math.max(0, low)).toFixed(1)}, ${(100 * Math.min(1, high)).toFixed(1)}]` : ` [${figure(low)}, ${figure(high)}]`;
  return text;
}

function linePicture(panel, lines) {  // lines: {run, line, label, colour, dash}
  const tables = [], series = [{label: axis === "steps" ? "step" : "hours", value: (_, x) => x === null ? "–" : figure(x)}], bands = [];
  for (const one of lines) {
    const x = one.x || places(one.run), {values, spread} = one.line;
    const present = values.filter(value => value !== null && value !== undefined).length;
    const sparse = present < values.length / 2 || present < 30;
    const row = new Map(x.map((place, i) => [place, i]));
    series.push({
      label: one.label, stroke: one.colour, width: 2, dash: one.dash, points: {show: sparse || Boolean(one.line.low), size: 5, stroke: one.colour, fill: one.colour},
      spanGaps: present < values.length / 2, value: (plot, _, __, idx) => idx === null ? "–" : cell(one.line, row.get(plot.data[0][idx]), panel.unit),
    });
    const columns = [x, values];
    if (spread || one.line.low) {
      const ends = one.line.low ? [one.line.high, one.line.low]
        : [1, -1].map(sign => values.map((value, i) => value === null || spread[i] === null ? null : value + sign * spread[i]));
      columns.push(...ends);
      for (const _ of ends) series.push({class: "band", stroke: null, width: 0, points: {show: false}, spanGaps: true});
      bands.push({series: [series.length - 2, series.length - 1], fill: faint(one.colour, "2a")});
    }
    tables.push(columns);
  }
  return {data: uPlot.join(tables), series, bands, ends: lines.map(one => one.end || one.label), stacked: false, whiskers: lines.some(one => one.line.low)};
}

function stackedPicture(panel, run, lines) {
  const x = places(run), row = run.row[axis];
  const sums = [], base = x.map(() => 0);
  for (const line of lines) {
    base.forEach((sum, i) => { base[i] = sum + (line.values[i] ?? 0); });
    sums.push(base.map((sum, i) => lines.every(one => one.values[i] === null) ? null : sum));
  }
  // Drawn from the top of the stack down, so that a series hides no other; the legend stands in the same order.
  const order = lines.map((_, i) => lines.length - 1 - i);
  const series = [{label: axis === "steps" ? "step" : "hours", value: (_, x) => x === null ? "–" : figure(x)}];
  const bands = [];
  order.forEach((at, place) => {
    const line = lines[at];
    series.push({
      label: line.label, stroke: colour(at), width: 1.5, dash: DASHES[at % DASHES.length], points: {show: x.length < 3, size: 5},
      fill: at === 0 ? faint(colour(0)) : undefined, value: (plot, _, __, idx) => idx === null ? "–" : cell(line, row.get(plot.data[0][idx]), panel.unit),
    });
    if (at > 0) bands.push({series: [place + 1, place + 2], fill: faint(colour(at))});
  });
  return {data: [x, ...order.map(at => sums[at])], series, bands, ends: order.map(at => lines[at].label), stacked: true, only: run};
}

function draw(box, key, panel, picture, click = chooseAt) {
  // A chart is drawn anew where more than its data changed: its curves, whether they are sparse, the colours.
  const shape = picture.series.map(one => [one.class, one.spanGaps, one.points && one.points.show]);
  const signature = JSON.stringify([picture.ends, shape, axis, matchMedia("(prefers-color-scheme: dark)").matches]);
  const old = charts.get(key);
  if (old && old.signature === signature && old.box === box) {
    const zoomed = old.plot.scales.x.min > old.plot.data[0][0] || old.plot.scales.x.max < old.plot.data[0].at(-1);
    picture.series.forEach((one, i) => { old.plot.series[i].value = one.value; });
    old.plot.setData(picture.data, !zoomed);
    if (zoomed) old.plot.redraw();
    return;
  }
  if (old) old.plot.destroy();
  const entry = {signature, box, ends: picture.ends};
  const grid = {stroke: ink("line"), width: 1}, font = "12px system-ui, sans-serif";
  const percents = (_, values) => values.map(value => value === null ? "" : `${Number((100 * value).toFixed(3))} %`);
  const plain = (_, values) => values.map(value => value === null ? "" : figure(value));
  entry.plot = new uPlot({
    width: Math.max(200, box.clientWidth), height: HEIGHT, series: picture.series, bands: picture.bands,
    padding: [4 + 11 * Math.min(state.runs.length, 4), ENDS, 0, 0],  // as wide in every chart: a step stands at the same place
    scales: {x: {time: false, range: (plot, low, high) => plot.data[0].length === 1 ? [plot.data[0][0] - 1, plot.data[0][0] + 1] : [low, high]},
      y: {range: (_, low, high) => yRange(panel, picture, low, high)}},
    axes: [
      {stroke: ink("soft"), grid, ticks: grid, font, size: 28, incrs: axis === "steps" ? [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000] : undefined},
      {stroke: ink("soft"), grid, ticks: grid, font, size: 58, values: panel.unit === "share" ? percents : plain},
    ],
    cursor: {sync: {key: "steps", setSeries: false}, drag: {x: true, y: false, dist: 8}, points: {show: true}},
    hooks: {
      draw: [plot => decorate(plot, entry, picture, panel.events !== false)],
      setLegend: [plot => {
        const idx = indexOf(plot);
        if (plot.legend.idx === null && idx !== null) plot.setLegend({idx}, false);
      }],
    },
  }, picture.data, box);
  let from = 0;
  entry.plot.over.addEventListener("pointerdown", event => { from = event.clientX; });
  entry.plot.over.addEventListener("click", event => {
    if (Math.abs(event.clientX - from) < 5 && entry.plot.cursor.idx !== null) click(entry.plot.data[0][entry.plot.cursor.idx]);
  });
  charts.set(key, entry);
  legendAtChosen(entry.plot);
}

function yRange(panel, picture, low, high) {
  if (low === null || high === null) return [0, 1];
  if (picture.stacked) return panel.unit === "share" ? [0, 1] : [0, high * 1.05 || 1];
  const edge = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.05;
  const bottom = low >= 0 ? Math.max(0, low - edge) : low - edge;
  return panel.unit === "share" ? [Math.max(0, bottom), Math.min(1, high + edge)] : [bottom, high + edge];
}

function chosenPlace() {  // the chosen step on the x axis: of the first run that has it
  for (const run of state.runs) {
    const i = run.row.steps.get(chosen);
    if (i !== undefined) return places(run)[i];
  }
  return null;
}

function indexOf(plot) {
  const place = chosenPlace();
  const idx = place === null ? -1 : plot.data[0].indexOf(place);
  return idx < 0 ? null : idx;
}

function legendAtChosen(plot) {
  if (plot.cursor.idx === null || plot.cursor.idx === undefined) plot.setLegend({idx: indexOf(plot)}, false);
}

function chooseAt(place) {
  for (const run of state.runs) {
    const i = run.row[axis].get(place);
    if (i !== undefined) { choose(run.steps[i]); return; }
  }
}

// On top of the curves: the chosen step, the letters of events, and at the end of each curve its name.
function decorate(plot, entry, picture, withEvents) {
  const {ctx, bbox} = plot, ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  const place = chosenPlace();
  if (place !== null && place >= plot.scales.x.min && place <= plot.scales.x.max) {
    const x = plot.valToPos(place, "x", true);
    ctx.strokeStyle = ink("chosen"); ctx.lineWidth = ratio; ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke(); ctx.setLineDash([]);
  }
  if (withEvents) eventMarks(plot, picture, ctx, ratio);
  if (picture.whiskers) whiskers(plot, ctx, ratio);
  if (entry.ends.length > 1) endLabels(plot, entry, picture.stacked, ctx, ratio);
  ctx.restore();
}

function eventMarks(plot, picture, ctx, ratio) {  // a row of letters for each run
  const several = state.runs.length > 1;
  ctx.textAlign = "center"; ctx.textBaseline = "alphabetic";
  (picture.only ? [picture.only] : state.runs).forEach((run, row) => {
    ctx.fillStyle = several ? colour(state.runs.indexOf(run)) : ink("alert");
    const y = plot.bbox.top - (3 + 11 * Math.min(row, 3)) * ratio;
    const often = kind => run.events.filter(one => one.kind === kind).length, lettered = [];
    const order = new Map(Object.keys(state.marks).map(kind => [kind, often(kind)]));
    for (const one of [...run.events].sort((a, b) => order.get(a.kind) - order.get(b.kind))) {  // the rarest have the room
      const i = run.row.steps.get(one.step), at = i === undefined ? null : places(run)[i];
      if (at === null || at < plot.scales.x.min || at > plot.scales.x.max) continue;
      const x = plot.valToPos(at, "x", true), room = lettered.every(other => Math.abs(x - other) > 10 * ratio);
      if (room) lettered.push(x);  // where letters would touch, ticks
      if (room) ctx.fillText(state.marks[one.kind], x, y); else ctx.fillRect(x - ratio / 2, y - 3 * ratio, ratio, 3 * ratio);
    }
  });
}

function whiskers(plot, ctx, ratio) {  // the intervals of single points, between which no band can be seen
  ctx.lineWidth = 1.5 * ratio;
  plot.series.forEach((one, i) => {
    if (i === 0 || one.class === "band" || !one.show) return;
    ctx.strokeStyle = one.stroke(plot, i);
    plot.data[0].forEach((place, at) => {
      const [high, low] = [plot.data[i + 1][at], plot.data[i + 2][at]];
      if (high === null || high === undefined) return;
      const x = plot.valToPos(place, "x", true);
      ctx.beginPath(); ctx.moveTo(x, plot.valToPos(high, "y", true)); ctx.lineTo(x, plot.valToPos(low, "y", true)); ctx.stroke();
    });
  });
}

function endLabels(plot, entry, stacked, ctx, ratio) {
  const shown = plot.series.map((_, i) => i).filter(i => i > 0 && plot.series[i].class !== "band");
  const labels = shown.map((i, number) => {
    const values = plot.data[i];
    let last = values.length - 1;
    while (last >= 0 && (values[last] === null || values[last] === undefined)) last--;
    if (last < 0 || !plot.series[i].show) return null;
    const under = stacked && number + 1 < shown.length ? plot.data[shown[number + 1]][last] ?? 0 : 0;
    const value = stacked ? (values[last] + under) / 2 : values[last];
    return {text: entry.ends[number], stroke: plot.series[i].stroke(plot, i), y: plot.valToPos(value, "y", true), thin: stacked && values[last] - under <= 0};
  }).filter(label => label && !label.thin).sort((a, b) => a.y - b.y);
  const {left, width, top, height} = plot.bbox, gap = 12 * ratio;
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + gap);
  for (let i = labels.length - 1, floor = top + height; i >= 0; i--, floor -= gap) labels[i].y = Math.min(labels[i].y, floor);
  ctx.textAlign = "left"; ctx.textBaseline = "middle";
  for (const {text, stroke, y} of labels) {
    ctx.fillStyle = stroke;
    ctx.fillText(fitting(text.replace("validation ", "val "), ctx, (ENDS - 7) * ratio), left + width + 5 * ratio, y);
  }
}

function fitting(text, ctx, room) {  // without its middle where it is too long: the ends tell labels apart, the legend has all of it
  let short = text;
  for (let n = text.length - 1; n > 2 && ctx.measureText(short).width > room; n--) {
    short = `${text.slice(0, Math.floor(n / 2))}…${text.slice(-Math.ceil(n / 2))}`;
  }
  return short;
}

function forgetCharts() {  // another axis, other colours: all are drawn anew
  for (const entry of charts.values()) entry.plot.destroy();
  charts.clear();
}

new ResizeObserver(() => {
  for (const {plot, box} of charts.values()) {
    const width = Math.max(200, box.clientWidth);
    if (box.isConnected && Math.abs(plot.width - width) > 1) plot.setSize({width, height: HEIGHT});
  }
}).observe(document.body);
