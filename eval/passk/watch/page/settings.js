// What was run: the settings that decide a result, in what runs differ, all settings, and the versions.
function showSettings() {
  const names = state.runs.map((_, number) => runTitle(number)), body = byId("settings");
  const rowsOf = key => {
    const labels = [...new Set(state.runs.flatMap(run => Object.keys(run[key])))];
    return labels.map(label => [label, ...state.runs.map(run => run[key][label] ?? "–")]);
  };
  const scrolled = rows => element("div", undefined, "wide", table(["", ...names], rows, names.length + 1));
  body.replaceChildren(scrolled(rowsOf("settings")));
  const different = Object.entries(state.differences).map(([key, values]) => [key, ...values]);
  if (names.length > 1) body.append(element("h3", "In what the runs differ"), different.length ? scrolled(different) : element("p", "In no setting.", "meta"));
  const versions = rowsOf("versions");
  body.append(element("h3", "Versions at the last start"), versions.length ? scrolled(versions) : element("p", "The run left no starts.jsonl, so nobody knows them.", "meta"));
  const all = element("details", undefined, "", element("summary", "All settings (config.yaml)"));
  all.addEventListener("toggle", () => { if (all.open && !all.querySelector("table")) all.append(scrolled(rowsOf("config"))); });
  body.append(all);
}
