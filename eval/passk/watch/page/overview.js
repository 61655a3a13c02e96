// The top of the page: a card for each run, the curves, the figures of the step as a table, and what stands on the time axis.
const MOST_EVENTS = 12;  // of a kind and a run, until all are asked for

const lineOf = (run, panel, label) => run.panels[panel].lines.find(line => line.label === label);
const runTitle = number => state.runs.length > 1 ? `${letter(number)} · ${state.runs[number].name}` : state.runs[number].name;

// The row of a run at the chosen step, or before it where the run has none there.
function rowAt(run) {
  let row = -1;
  run.steps.forEach((step, i) => { if (step <= chosen) row = i; });
  return row;
}

function lastFigure(line, row) {
  for (let i = row; i >= 0; i--) if (line && line.values[i] !== null) return i;
  return -1;
}

function firstFigure(line) {
  return line ? line.values.findIndex(value => value !== null) : -1;
}

function sinceFirst(line, row, unit) {  // "31.1 % (319 of 1,024), +4.2 points since step 1"
  const at = lastFigure(line, row), first = firstFigure(line);
  if (at < 0) return null;
  const difference = line.values[at] - line.values[first];
  const change = unit === "share" ? `${signed(100 * difference, 1)} points` : signed(difference, 3);
  return [at, first, cell(line, at, unit), first < at ? change : null];
}

function card(run, number) {
  const box = element("article", undefined, "card", element("h3", runTitle(number)));
  box.style.borderLeftColor = state.runs.length > 1 ? colour(number) : "";
  const facts = element("dl"), row = rowAt(run);
  const add = (name, text) => { if (text) facts.append(element("dt", name), element("dd", text)); };
  add("step", row < 0 ? "none yet" : `${run.steps[row]}${run.total ? ` of ${run.total}` : ""}${run.steps[row] < chosen ? " (its last)" : ""}`);
  const changing = (name, panel, label, unit) => {
    const found = sinceFirst(lineOf(run, panel, label), row, unit);
    if (!found) return;
    const [at, first, text, change] = found;
    const when = at === row ? "" : ` at step ${run.steps[at]}`;
    add(name, `${text}${when}${change ? `, ${change} since step ${run.steps[first]}` : ""}`);
  };
  changing("accuracy", "accuracy", "training", "share");
  for (const line of run.panels.accuracy.lines) if (line.label !== "training") changing(line.label, "accuracy", line.label, "share");
  const last = run.panels.pass_at_k.lines.filter(line => !line.label.startsWith("validation")).at(-1);
  if (last) changing(last.label, "pass_at_k", last.label, "share");
  for (const line of run.panels.entropy.lines) changing(line.label === "validation" ? "entropy, validation" : "entropy", "entropy", line.label, "number");
  if (row >= 0) {
    const kinds = run.panels.kinds.lines.filter(line => line.label !== "correct" && line.values[row]).sort((a, b) => b.values[row] - a.values[row]);
    add("incorrect", kinds.slice(0, 3).map(line => `${line.label} ${cell(line, row, "share")}`).join(" · "));
    const marks = {"pushed up": "▲ ", "pushed down": "▼ ", kept: ""};
    add("learned from", run.panels.learned_from.lines.filter(line => line.values[row] !== null).map(line => `${marks[line.label]}${line.label} ${cell(line, row, "share")}`).join(" · "));
  }
  const kinds = Object.keys(state.marks).map(kind => [kind, run.events.filter(one => one.kind === kind).length]).filter(([, count]) => count);
  add("events", kinds.map(([kind, count]) => `${state.marks[kind]} ${eventName(kind)} × ${count}`).join(" · ") || "nothing unusual");
  box.append(facts);
  return box;
}

const eventName = kind => ({skipped: "skipped step", grader: "grader failure", "not a number": "figure that is no number", lost: "samples not written", died: "rollout process that died", watchdog: "watchdog", start: "restart"})[kind] || kind;

function panelFor(panel) {
  const id = `panel-${panel.name}`;
  let box = byId(id);
  if (!box) {
    box = element("article", undefined, "panel", element("h3", panel.heading), element("div", undefined, "charts"), element("div", undefined, "notes"));
    box.id = id;
    byId("panels").append(box);
  }
  return box;
}

function chartBox(panel, name, caption) {
  const parent = panelFor(panel).querySelector(".charts");
  let box = [...parent.children].find(one => one.dataset.name === name);
  if (!box) {
    box = element("div", undefined, "chart");
    box.dataset.name = name;
    if (caption) box.append(element("div", caption, "meta"));
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `${panel.heading}${caption ? `, ${caption}` : ""}: a chart; its figures are in the table below the curves`);
    parent.append(box);
  }
  return box;
}

// Of the many k of several runs only the smallest and the largest are drawn; all are in the table.
const between = (label, i, all) => label.startsWith("pass@") && i > 0 && all[i + 1] !== undefined && all[i + 1].startsWith("pass@");

function showPanels() {
  const several = state.runs.length > 1;
  for (const panel of state.panels) {
    const found = state.runs.map(run => run.panels[panel.name]);
    if (panel.stacked) {
      panelFor(panel).classList.toggle("spread", several);
      state.runs.forEach((run, number) => {
        const lines = found[number].lines;
        if (lines.length) draw(chartBox(panel, String(number), several ? runTitle(number) : ""), `${panel.name}-${number}`, panel, stackedPicture(panel, run, lines));
      });
    } else {
      const labels = [...new Set(found.flatMap(one => one.lines.map(line => line.label)))].filter((label, i, all) => !several || !between(label, i, all));
      const lines = state.runs.flatMap((run, number) => found[number].lines.filter(line => labels.includes(line.label)).map(line => {
        const kind = labels.indexOf(line.label);
        return {
          run, line, colour: colour(several ? number : kind), dash: DASHES[kind % DASHES.length],
          label: several ? `${letter(number)} ${line.label}` : line.label, end: several && labels.length === 1 ? letter(number) : undefined,
        };
      }));
      if (lines.length) draw(chartBox(panel, "all", ""), panel.name, panel, linePicture(panel, lines));
    }
    const notes = state.runs.flatMap((_, number) => found[number].missing.map(text => several ? `${letter(number)}: ${text}` : text));
    panelFor(panel).querySelector(".notes").replaceChildren(...notes.map(text => element("p", text, "meta")));
  }
}

function showFigures() {
  const rows = [];
  for (const panel of state.panels) {
    const labels = [...new Set(state.runs.flatMap(run => run.panels[panel.name].lines.map(line => line.label)))];
    for (const label of labels) rows.push([`${panel.heading}: ${label}`, ...state.runs.map(run => {
      const line = lineOf(run, panel.name, label), row = run.row.steps.get(chosen);
      return line && row !== undefined ? cell(line, row, panel.unit) : "–";
    })]);
  }
  byId("figures").querySelector(".wide").replaceChildren(table([`step ${chosen}`, ...state.runs.map((_, number) => runTitle(number))], rows));
}

const allEvents = new Set();  // runs of which every event is shown
function showEvents() {
  byId("events").replaceChildren(...state.runs.map((run, number) => {
    const box = element("div");
    if (state.runs.length > 1) box.append(element("h3", runTitle(number)));
    if (!run.events.length) box.append(element("p", "No skipped step, grader failure, dead process, restart or line of the watchdog is recorded.", "meta"));
    const last = kind => run.events.filter(one => one.kind === kind).slice(-MOST_EVENTS);
    const shown = run.events.filter(one => allEvents.has(number) || last(one.kind).includes(one));
    if (shown.length < run.events.length) box.append(button(`all ${run.events.length}; ${shown.length} are shown, of each kind the last ${MOST_EVENTS}`, () => { allEvents.add(number); showEvents(); }));
    if (shown.length) box.append(table(["what", "step"], shown.map(one => [
      element("span", `${state.marks[one.kind]} ${one.text}`), button(String(one.step), () => choose(one.step))])));
    return box;
  }));
}

function showOverview() {
  byId("overview").replaceChildren(...state.runs.map(card));
  if (byId("figures").open) showFigures();
}
byId("figures").addEventListener("toggle", () => { if (byId("figures").open) showFigures(); });
