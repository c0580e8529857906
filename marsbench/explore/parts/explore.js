"use strict";
// Fills the lanes with what fits on the screen, and tells the story of the chosen session.
window.explore = (() => {
  const MOST_SPANS = 6000; // that are drawn at once: more would not move smoothly
  const REST_MS = 90; // after which the charts below follow
  const MARGIN = 0.75; // of a screen that is filled to the left and to the right as well
  const STATES = 7, ADMISSION = 0, TOOL = 5, HELD = 6;
  const NAMES = [...document.querySelectorAll("label.state")].map((l) => l.textContent.trim());
  const runs = [];
  let model, clock, below, lanes, whole, resting = null, chosen = null, filled = null, waiting = false;

  const byName = (name) => model.get_model_by_name(name);
  const seconds = (s) => s == null ? "–" : s >= 1000 ? s.toFixed(0) : s.toPrecision(4);
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text != null) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function start() {
    model = Bokeh.documents[0];
    for (const script of document.querySelectorAll("script.content"))
      runs.push(await unpack(script.textContent));
    clock = byName("clock"); below = byName("clock-below"); lanes = byName("lanes");
    whole = { start: clock.start, end: clock.end, top: lanes.end, bottom: lanes.start };
    const names = document.getElementById("names");
    runs[0].lanes.forEach((name) => names.append(element("option", null, { value: name })));
    listen();
    table();
    fill();
    document.body.dataset.ready = "yes";
  }

  // --- what fits on the screen

  function moved() {
    if (!clock) return;
    clearTimeout(resting);
    resting = setTimeout(() => follow(clock, below), REST_MS);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; if (isStale()) fill(); });
  }

  const movedBelow = () => { if (clock && resting == null) follow(below, clock); };

  function follow(one, other) {
    resting = null;
    if (one.start !== other.start || one.end !== other.end)
      other.setv({ start: one.start, end: one.end });
  }

  function isStale() {
    const width = clock.end - clock.start, low = Math.min(lanes.start, lanes.end);
    const high = Math.max(lanes.start, lanes.end);
    return !filled || clock.start < filled.start || clock.end > filled.end
      || low < filled.low - 1e-9 || high > filled.high + 1e-9
      || width < filled.width / 2 || (width > filled.width * 1.01 && filled.level !== "all");
  }

  function fill() {
    const width = clock.end - clock.start;
    const low = Math.min(lanes.start, lanes.end), high = Math.max(lanes.start, lanes.end);
    filled = { start: clock.start - MARGIN * width, end: clock.end + MARGIN * width, low, high, width };
    runs.forEach((run, number) => { fillSpans(run, number); fillMarks(run, number); });
  }

  function inView(level) {
    const from = filled.start * 1000, to = filled.end * 1000, found = [];
    for (let i = 0; i < level.lane.length; i++)
      if (level.end[i] >= from && level.begin[i] <= to && level.lane[i] >= filled.low - 1 && level.lane[i] <= filled.high + 1)
        found.push(i);
    return found;
  }

  function fillSpans(run, number) {
    let level = 0, places = inView(run.levels[0]);
    while (places.length > MOST_SPANS && level + 1 < run.levels.length)
      places = inView(run.levels[++level]);
    const columns = Array.from({ length: STATES }, () => ({ left: [], right: [], bottom: [], top: [], told: [] }));
    const of = run.levels[level];
    for (const i of places) {
      const state = of.state[i], lane = of.lane[i], into = columns[state];
      into.left.push(of.begin[i] / 1000); into.right.push(of.end[i] / 1000);
      const [above, below] = state === HELD ? [-0.28, 0.46] : state === TOOL ? [0.12, 0.12] : state === ADMISSION ? [0.22, 0.22] : [0.4, 0.4];
      into.top.push(lane - above); into.bottom.push(lane + below);
      into.told.push(told(run, of, i, level));
    }
    columns.forEach((data, state) => { byName(`spans-${number}-${state}`).data = data; });
  }

  function told(run, of, i, level) {
    const round = of.round[i] >= 0 ? `, round ${of.round[i]}` : "";
    const most = level && of.round[i] < 0 && of.state[i] !== HELD ? "mostly " : "";
    return `${run.lanes[of.lane[i]]}${round}: ${most}${NAMES[of.state[i]]} for `
      + `${seconds((of.end[i] - of.begin[i]) / 1000)} s, from ${(of.begin[i] / 1000).toFixed(1)} s`;
  }

  function fillMarks(run, number) {
    const { lane, at, blocks, told: words } = run.marks, data = { x: [], y: [], size: [], told: [] };
    const places = [];
    for (let i = 0; i < at.length; i++)
      if (at[i] >= filled.start * 1000 && at[i] <= filled.end * 1000 && lane[i] >= filled.low - 1 && lane[i] <= filled.high + 1)
        places.push(i);
    // The largest, where there are more than a screen shows; preemptions always.
    if (places.length > 1500) places.sort((a, b) => (blocks[b] ?? Infinity) - (blocks[a] ?? Infinity)).length = 1500;
    const most = Math.max(1, ...places.map((i) => blocks[i] ?? 0));
    for (const i of places) {
      data.x.push(at[i] / 1000); data.y.push(lane[i]); data.told.push(words[i]);
      data.size.push(blocks[i] == null ? 13 : 3 + 6 * Math.sqrt(blocks[i] / most));
    }
    byName(`marks-${number}`).data = data;
  }

  // --- the chosen session

  const laneName = (tick) => Number.isInteger(tick) && runs.length ? runs[0].lanes[tick] ?? "" : "";

  function choose(lane) {
    if (!runs.length || lane < 0 || lane >= runs[0].lanes.length) return;
    chosen = lane;
    runs.forEach((run, number) => {
      const box = byName(`chosen-${number}`);
      box.top = lane - 0.5; box.bottom = lane + 0.5; box.visible = true;
      const kv = run.kv[lane] ?? [], step = run.end / 1000 / Math.max(1, kv.length);
      byName(`kv-${number}`).data = { x: kv.map((_, i) => (i + 1) * step), y: kv };
    });
    const low = Math.min(lanes.start, lanes.end), high = Math.max(lanes.start, lanes.end);
    if (lane < low || lane > high) place(lane - (high - low) / 2, lane + (high - low) / 2);
    document.getElementById("search").value = runs[0].lanes[lane];
    const story = document.getElementById("story");
    story.replaceChildren(...runs.map((run) => storyOf(run, lane)));
  }

  function storyOf(run, lane) {
    const about = run.sessions[lane], made = element("div");
    made.append(element("h2", `${run.lanes[lane]}, ${run.label}`));
    if (!about) { made.append(element("p", "It never came in this run.")); return made; }
    if (about.causes) made.append(causeBar(run, about.causes), causeTable(run, about));
    about.story.forEach((sentence) => made.append(element("p", sentence)));
    return made;
  }

  function causeBar(run, causes) {
    const bar = element("div", null, { class: "bar", role: "img", "aria-label": "Seconds lost, by cause" });
    for (const [name, value] of Object.entries(causes))
      if (value > 0) {
        const part = element("span", null, { title: `${run.causes[name][0]}: ${seconds(value)} s` });
        part.style.flexGrow = value; part.style.background = run.causes[name][1];
        bar.append(part);
      }
    return bar;
  }

  function causeTable(run, about) {
    const made = element("table");
    const line = (name, value, color) => {
      const row = element("tr"), label = element("td", name);
      if (color) label.style.borderLeft = `1em solid ${color}`;
      row.append(label, element("td", `${seconds(value)} s`));
      made.append(row);
    };
    line("alone", about.ideal_s);
    for (const [name, value] of Object.entries(about.causes))
      if (Math.abs(value) >= 0.001) line(run.causes[name][0], value, run.causes[name][1]);
    line("in this run", about.completion_s);
    return made;
  }

  // --- the table: who lost most, or where two runs differ most

  function table() {
    const two = runs.length > 1, rows = [];
    for (const lane of Object.keys(runs[0].sessions).map(Number)) {
      const of = runs.map((run) => run.sessions[lane]);
      if (of.some((one) => one?.completion_s == null || one.parent != null)) continue;
      const by = two ? of[1].completion_s - of[0].completion_s : of[0].completion_s - (of[0].ideal_s ?? 0);
      rows.push({ lane, of, by });
    }
    rows.sort((a, b) => Math.abs(b.by) - Math.abs(a.by) || a.lane - b.lane);
    const made = element("table"), head = element("tr");
    for (const text of ["session", ...runs.map((r) => `${r.label}, s`), "alone, s", two ? "second less first, s" : "lost, s"])
      head.append(element("th", text));
    made.append(head, ...rows.slice(0, 25).map((row) => rowOf(row)));
    const title = two ? "Where the two differ most" : "Who lost most";
    document.getElementById("table").replaceChildren(element("h2", title), made);
  }

  function rowOf({ lane, of, by }) {
    const row = element("tr", null, { "data-lane": lane, tabindex: 0 });
    row.append(element("td", runs[0].lanes[lane]), ...of.map((one) => element("td", seconds(one.completion_s))));
    row.append(element("td", seconds(of[0].ideal_s)), element("td", (by > 0 ? "+" : "") + by.toFixed(1)));
    row.addEventListener("click", () => choose(lane));
    row.addEventListener("keydown", (e) => { if (e.key === "Enter") { e.stopPropagation(); choose(lane); } });
    return row;
  }

  // --- moving about

  function show(start, end) {
    const least = 0.05;
    const from = Math.max(whole.start, start);
    clock.setv({ start: from, end: Math.min(whole.end, Math.max(end, from + least)) });
  }

  function place(low, high) {
    lanes.setv({ start: Math.min(whole.bottom, high), end: Math.max(whole.top, low) });
  }

  function zoom(factor) {
    const middle = (clock.start + clock.end) / 2, half = (clock.end - clock.start) / 2 * factor;
    show(middle - half, middle + half);
  }

  function pan(share) {
    const width = clock.end - clock.start;
    const start = Math.min(Math.max(whole.start, clock.start + share * width), whole.end - width);
    show(start, start + width);
  }

  function all() { show(whole.start, whole.end); place(whole.top, whole.bottom); }

  function toSession() {
    const about = chosen == null ? null : runs.map((r) => r.sessions[chosen]).filter(Boolean);
    if (!about?.length) return;
    const start = Math.min(...about.map((a) => a.arrived)) / 1000;
    const end = Math.max(...about.map((a) => a.ended ?? runs[0].end)) / 1000;
    show(start - 0.03 * (end - start), end + 0.03 * (end - start));
    place(chosen - 10, chosen + 10);
  }

  const step = (by) => choose(chosen == null ? 0 : Math.min(Math.max(0, chosen + by), runs[0].lanes.length - 1));

  function search(text) {
    const wanted = text.trim().toLowerCase(), names = runs[0].lanes.map((n) => n.toLowerCase());
    const exact = names.indexOf(wanted), found = exact >= 0 ? exact : names.findIndex((n) => n.includes(wanted));
    if (wanted && found >= 0) choose(found);
    else if (wanted) document.getElementById("story").replaceChildren(element("p", `No session is called ${text}.`));
  }

  const KEYS = {
    ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), ArrowUp: () => step(-1), ArrowDown: () => step(1),
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: all, Enter: toSession,
    "/": () => document.getElementById("search").select(),
  };

  function listen() {
    const on = (id, act) => document.getElementById(id).addEventListener("click", act);
    on("previous", () => step(-1)); on("next", () => step(1)); on("closer", () => zoom(0.5));
    on("farther", () => zoom(2)); on("whole", all); on("this", toSession);
    document.getElementById("search").addEventListener("change", (e) => search(e.target.value));
    document.addEventListener("keydown", (e) => {
      const typing = e.target.matches?.("input[type=search], button");
      if (typing || e.ctrlKey || e.metaKey || e.altKey || !(e.key in KEYS)) return;
      e.preventDefault();
      KEYS[e.key]();
    });
    for (const box of document.querySelectorAll("[data-state]"))
      box.addEventListener("change", () => runs.forEach((_, number) => {
        const name = box.dataset.state === "marks" ? `evictions-${number}` : `state-${number}-${box.dataset.state}`;
        byName(name).visible = box.checked;
      }));
  }

  return { start, moved, movedBelow, laneName, chooseLane: (y) => choose(Math.round(y)), whole: () => ({ start: whole.start, end: whole.end }), state: () => ({ chosen, clock: [clock.start, clock.end], lanes: [lanes.start, lanes.end] }) };
})();
