// The page as a whole: which step it is about, the news of a run that goes on, and the keys.
const POLL = 2000;  // milliseconds
let steps = [];
let following = true;  // the newest step, until another is chosen

function allSteps() {
  const found = new Set();
  for (const run of state.runs) {
    run.steps.forEach(step => found.add(step));
    run.samples.forEach(file => found.add(file.step));
  }
  return [...found].sort((a, b) => a - b);
}

function choose(step, follow = true) {
  if (!steps.length) return;
  const position = steps.findIndex(one => one >= step);
  chosen = steps[position < 0 ? steps.length - 1 : position];
  following = chosen === steps.at(-1);
  showChosen();
  showSampleFiles(follow);
  showSamples();
}

function showChosen() {
  const slider = byId("step");
  slider.max = Math.max(0, steps.length - 1);
  slider.value = steps.indexOf(chosen);
  slider.setAttribute("aria-valuetext", `step ${chosen}`);
  byId("step-text").textContent = steps.length ? `step ${chosen} of ${steps.at(-1)}` : "no step yet";
  byId("newest").setAttribute("aria-pressed", following);
  byId("overview-heading").textContent = steps.length ? `At step ${chosen}` : "Nothing is logged yet";
  showOverview();
  for (const {plot} of charts.values()) {
    legendAtChosen(plot);
    plot.redraw(false);
  }
}

function showNews(lost) {
  const ages = state.runs.map((run, number) => {
    const name = state.runs.length > 1 ? `${letter(number)}: ` : "";
    if (run.changed_at === null) return `${name}nothing is written yet`;
    const ended = run.total !== null && run.steps.at(-1) >= run.total;
    return `${name}${ended ? "ended" : `step ${run.steps.at(-1) ?? 0}${run.total ? ` of ${run.total}` : ""}`}, written ${ago(run.changed_at)}`;
  });
  const problems = state.runs.flatMap((run, number) => run.problems.map(text => element("p", state.runs.length > 1 ? `${letter(number)}: ${text}` : text, "problem")));
  if (lost) problems.push(element("p", "The server does not answer any more: what is here does not change.", "problem"));
  byId("news").textContent = ages.join(" · ");
  byId("problems").replaceChildren(...problems);
}

function ago(time) {
  if (!LIVE) return new Date(time * 1000).toLocaleString("sv").slice(0, 16);
  const seconds = Math.max(0, Date.now() / 1000 - time);
  return seconds < 90 ? `${Math.round(seconds)} s ago` : seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

function showAll() {
  steps = allSteps();
  if (following || !steps.includes(chosen)) chosen = steps.at(-1) ?? 0;
  showNews(false);
  showPanels();
  showChosen();
  showEvents();
  showChangeChoices();
}

async function poll() {
  try {
    const answer = await fetch(`state?seen=${state.number}`);
    if (answer.status === 200) {
      const before = chosenFile();
      state = await answer.json();
      state.runs.forEach(place);
      showAll();
      showSettings();
      showSampleFiles(following);
      const file = chosenFile();
      if (String(file && fileKey(file) + file.stamp) !== String(before && fileKey(before) + before.stamp)) showSamples();
    } else showNews(false);
  } catch {
    showNews(true);
  }
  setTimeout(poll, POLL);
}

document.title = `${state.runs.map(run => run.name).join(", ")} · passk.watch`;
byId("title").textContent = state.runs.map((_, number) => runTitle(number)).join(" and ");
byId("step").addEventListener("input", event => choose(steps[event.target.value]));
byId("step-back").addEventListener("click", () => choose(steps[Math.max(0, steps.indexOf(chosen) - 1)]));
byId("step-on").addEventListener("click", () => choose(steps[Math.min(steps.length - 1, steps.indexOf(chosen) + 1)]));
byId("newest").addEventListener("click", () => choose(steps.at(-1)));
function drawAnew() {
  forgetCharts();
  showPanels();
  showChosen();
  if (followed) showQuestion(followed.run, followed.id);
}
byId("axis").addEventListener("change", event => { axis = event.target.value; drawAnew(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  const action = {"[": () => byId("step-back").click(), "]": () => byId("step-on").click(), "/": () => byId("text").focus()}[event.key];
  if (action) { event.preventDefault(); action(); }
});

showAll();
setTimeout(() => {  // after the curves are painted
  showSettings();
  showSampleFiles(true);
  showSamples();
  if (LIVE) setTimeout(poll, POLL);
});
