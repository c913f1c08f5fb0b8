"use strict";
/* The page of a run: plays a sequence with its masks, and corrects identities.

   `held` is the JSON in the page (utils/page/writing.py). `state` is what the user sees now: the
   sequence, its frame (an index), the chosen tracks (the first is edited, the second is the other one)
   and the edits in their order. Whatever changes goes through one of the functions below and ends in
   redraw() or, where tracks changed, in renew(). */

const held = JSON.parse(document.getElementById("run").textContent);
const $ = id => document.getElementById(id);
const state = {
  sequence: null,     // one of `sequences`
  frame: 0,
  chosen: [],
  playing: 0,         // +1 forwards, -1 backwards
  clock: null,        // of the play that goes on
  edits: [],          // [{edit, patch}]
  undone: [],
  seen: new Set(),    // keys of places that were looked at
};

const sequences = held.sequences.map(data => {
  const rows = unpack(data.rows, data.frames.length);
  return {
    data, rows,
    // Edits name frames by number, drawings by index.
    editing: new Editing(rows.frame.map(f => data.frames[f]), rows.ids, rows.classes),
    names: {...data.names},
    hidden: new Set(),
    hiddenTracks: new Set(),
    boxes: rows.rings.map(boxOf),
    paths: new Array(rows.ids.length),
  };
});

/* ---- what is shown ---- */

const canvas = $("masks"), video = $("video");
let timeline = null;

/** Change to a sequence. */
function open(index) {
  pause();
  const sequence = state.sequence = sequences[index];
  const {data} = sequence;
  $("which").value = index;
  const [height, width] = data.size;
  $("stage").style.aspectRatio = `${width || 16} / ${height || 9}`;
  $("stage").style.maxWidth = `calc(68vh * ${(width || 16) / (height || 9)})`;
  video.hidden = !data.video;
  if (data.video) video.src = data.video; else video.removeAttribute("src");
  $("scrub").max = Math.max(0, data.frames.length - 1);
  state.chosen = [];
  timeline = timeline || new Timeline($("timeline"), model(), pick, seek);
  renew();
  timeline.view(0, data.frames.length);
  places();
  seek(0);
}

function model() {
  const {data, rows, editing, names, hidden} = state.sequence;
  const tracks = tracksOf(rows, editing.ids, editing.classes);
  const marks = new Set();
  for (const event of data.events) if (!state.seen.has(keyOf(event))) event.ids.forEach(i => marks.add(i));
  return {tracks, names, hidden, marks, count: data.frames.length, frames: data.frames,
          get selected() { return state.chosen; }};
}

/** Show what the edits made of the tracks. */
function renew() {
  timeline.model = model();
  state.chosen = state.chosen.filter(id => timeline.model.tracks.has(id));
  timeline.arrange();
  classes();
  table();
  redraw();
}

function redraw() {
  drawMasks();
  timeline.cursor = state.frame;
  timeline.later();
  const {data} = state.sequence;
  $("scrub").value = state.frame;
  $("number").value = data.frames.length ? data.frames[state.frame] : "";
  panel();
}

function drawMasks() {
  const {data, rows, editing, hidden, hiddenTracks, names, boxes, paths} = state.sequence;
  const [height, width] = data.size, ratio = window.devicePixelRatio || 1;
  const room = $("stage").getBoundingClientRect();
  if (!width || !room.width) return;
  canvas.width = Math.round(room.width * ratio);
  canvas.height = Math.round(room.width * height / width * ratio);
  const scale = canvas.width / width, c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  if (!data.frames.length) return;
  c.lineJoin = "round";
  const fill = Number($("fill").value) / 100, labels = $("labels").checked;
  const texts = [];
  for (let i = rows.starts[state.frame]; i < rows.starts[state.frame + 1]; i++) {
    const id = editing.ids[i], cls = editing.classes[i];
    if (!id || !boxes[i] || hidden.has(cls) || hiddenTracks.has(id)) continue;
    const path = paths[i] = paths[i] || pathOf(rows.rings[i]);
    const chosen = state.chosen.includes(id);
    c.fillStyle = colourOf(id, fill);
    c.fill(path, "evenodd");
    // Dark below bright: an outline that shows on any picture.
    c.lineWidth = (chosen ? 6 : 3.2) * ratio / scale;
    c.strokeStyle = chosen ? "#fff" : "rgba(0,0,0,.55)";
    c.stroke(path);
    c.lineWidth = (chosen ? 3 : 1.6) * ratio / scale;
    c.strokeStyle = colourOf(id);
    c.stroke(path);
    if (labels || chosen) {
      const name = names[cls] || `class ${cls}`;
      const score = rows.scores[i] < 1 ? ` ${rows.scores[i].toFixed(2)}` : "";
      texts.push([boxes[i], `${id} ${chosen || labels ? name : ""}${score}`, id, chosen]);
    }
  }
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  const unit = scale / ratio;
  c.font = "600 12px system-ui, sans-serif";
  c.textBaseline = "middle";
  for (const [[x0, y0], text, id, chosen] of texts.sort((a, b) => a[3] - b[3])) {
    const wide = c.measureText(text).width + 8;
    const x = Math.max(0, Math.min(x0 * unit, room.width - wide)), y = Math.max(8, y0 * unit - 9);
    c.fillStyle = chosen ? "#fff" : "rgba(0,0,0,.72)";
    c.fillRect(x, y - 8, wide, 16);
    c.fillStyle = chosen ? "#000" : colourOf(id);
    c.fillText(text, x + 4, y);
  }
}

function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    // Points are the middles of pixels.
    for (let p = 0; p < ring.length; p += 2) path[p ? "lineTo" : "moveTo"](ring[p] + 0.5, ring[p + 1] + 0.5);
    path.closePath();
  }
  return path;
}

/** The row whose mask is at a point of the frame in px, the smallest of several; -1 for none. */
function rowAt(x, y) {
  const {rows, editing, hidden, hiddenTracks, boxes, paths} = state.sequence;
  const c = canvas.getContext("2d");
  c.save();
  c.setTransform(1, 0, 0, 1, 0, 0);
  let best = -1, least = Infinity;
  for (let i = rows.starts[state.frame]; i < rows.starts[state.frame + 1]; i++) {
    const id = editing.ids[i], box = boxes[i];
    if (!id || !box || hidden.has(editing.classes[i]) || hiddenTracks.has(id)) continue;
    paths[i] = paths[i] || pathOf(rows.rings[i]);
    c.lineWidth = 3;
    const area = (box[2] - box[0]) * (box[3] - box[1]);
    if (area < least && (c.isPointInPath(paths[i], x, y, "evenodd") || c.isPointInStroke(paths[i], x, y)))
      [best, least] = [i, area];
  }
  c.restore();
  return best;
}

/* ---- moving through time ---- */

function seek(frame) {
  const count = state.sequence.data.frames.length;
  state.frame = Math.max(0, Math.min(count - 1, Math.round(frame)));
  if (count === 0) state.frame = 0;
  if (state.sequence.data.video && !(state.playing > 0 && !video.paused))
    video.currentTime = (state.frame + 0.5) / state.sequence.data.rate;
  timeline.move(state.frame);
  redraw();
}

function play(direction) {
  pause();
  state.playing = direction;
  $("play").textContent = "❚❚";
  if (direction > 0 && state.frame >= state.sequence.data.frames.length - 1) seek(0);
  const {data} = state.sequence;
  const speed = Number($("speed").value);
  if (direction > 0 && data.video && video.requestVideoFrameCallback) {
    video.playbackRate = speed;
    const follow = (_, facts) => {
      if (state.playing <= 0) return;
      state.frame = Math.min(data.frames.length - 1, Math.floor(facts.mediaTime * data.rate + 0.25));
      timeline.move(state.frame);
      redraw();
      video.requestVideoFrameCallback(follow);
    };
    video.requestVideoFrameCallback(follow);
    video.play().catch(() => pause());
    return;
  }
  // Without a video, and backwards, a clock sets the frames.
  const mine = state.clock = {};
  let then = performance.now(), rest = 0;
  const tick = () => {
    if (!state.playing || state.clock !== mine) return;
    const now = performance.now();
    rest += (now - then) / 1000 * data.rate * speed;
    then = now;
    const steps = Math.floor(rest);
    rest -= steps;
    if (steps) seek(state.frame + direction * steps);
    if (state.frame <= 0 && direction < 0 || state.frame >= data.frames.length - 1 && direction > 0) pause();
    else setTimeout(tick, 15);
  };
  tick();
}

function pause() {
  const was = state.playing;
  state.playing = 0;
  $("play").textContent = "▶";
  video.pause();
  if (was && state.sequence) seek(state.frame);
}

const toggle = () => (state.playing ? pause() : play(1));

/* ---- choosing ---- */

/** Choose a track and go to a frame; with `also` it becomes the other one. */
function pick(id, frame = state.frame, also = false) {
  pause();
  if (also && state.chosen.length && state.chosen[0] !== id) state.chosen = [state.chosen[0], id];
  else state.chosen = [id];
  state.sequence.hiddenTracks.delete(id);
  seek(frame);
  timeline.show(id, frame);
}

/** What can be done with the chosen tracks. */
function panel() {
  const {data, names} = state.sequence;
  const [a, b] = state.chosen, tracks = timeline.model.tracks;
  const about = id => {
    const t = tracks.get(id);
    const name = names[t.cls] || `class ${t.cls}`;
    return `${name} ${id}, frames ${data.frames[t.first]} to ${data.frames[t.last]}, ${t.count} masks`;
  };
  $("first").textContent = a ? about(a) : "Click a mask, a bar or a table row to select a track. Shift-click a second one.";
  $("second").textContent = b ? `and ${about(b)}` : "";
  $("first").style.borderColor = a ? colourOf(a) : "transparent";
  $("second").style.borderColor = b ? colourOf(b) : "transparent";
  for (const button of document.querySelectorAll("[data-op]")) {
    const needs = button.dataset.needs;
    button.disabled = !a || (needs === "two" && !b);
  }
  $("to-class").disabled = !a;
  $("undo").disabled = !state.edits.length;
  $("redo").disabled = !state.undone.length;
  const count = state.edits.length;
  $("count").textContent = count ? edits(count) : "no edits yet";
  $("save").disabled = !count && !state.seen.size;
}

function classes() {
  const {names, hidden, editing} = state.sequence;
  const there = [...new Set([...editing.classes].filter((_, i) => editing.ids[i]))].sort((x, y) => x - y);
  $("classes").replaceChildren(...there.map(cls => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !hidden.has(cls);
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](cls);
      timeline.arrange();
      redraw();
    });
    label.append(box, ` ${names[cls] || `class ${cls}`}`);
    return label;
  }));
  const chosen = $("to-class").value;
  const known = [...new Set([...Object.keys(names).map(Number), ...there])].sort((x, y) => x - y);
  $("to-class").replaceChildren(new Option("change class …", ""), ...known.map(c => new Option(names[c] || `class ${c}`, c)));
  $("to-class").value = chosen && known.includes(Number(chosen)) ? chosen : "";
}

/* ---- the table of tracks ---- */

const order = {key: "id", down: false};

function table() {
  const {data, names, hiddenTracks} = state.sequence;
  const wanted = $("search").value.trim().toLowerCase();
  const all = [...timeline.model.tracks.values()].map(t => ({...t, name: names[t.cls] || `class ${t.cls}`}));
  const shown = all.filter(t => !wanted || `${t.name} ${t.id}`.toLowerCase().includes(wanted));
  const value = t => t[order.key];
  shown.sort((a, b) => (typeof value(a) === "string" ? value(a).localeCompare(value(b)) : value(a) - value(b)) || a.id - b.id);
  if (order.down) shown.reverse();
  $("tracks").replaceChildren(...shown.map(t => {
    const row = document.createElement("tr");
    row.dataset.id = t.id;
    const cell = text => {
      const td = document.createElement("td");
      td.append(text);
      row.append(td);
    };
    const src = thumbOf(t.id);
    let picture = "";
    if (src) {
      picture = new Image();
      picture.src = src;
      picture.loading = "lazy";
      picture.alt = `${t.name} ${t.id}`;
    }
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !hiddenTracks.has(t.id);
    box.title = "show this track";
    box.addEventListener("click", e => e.stopPropagation());
    box.addEventListener("change", () => {
      hiddenTracks[box.checked ? "delete" : "add"](t.id);
      redraw();
    });
    const mother = (data.parents || {})[t.id];
    const name = mother ? `${t.id} (mother ${mother})` : String(t.id);
    for (const part of [picture, name, t.name, data.frames[t.first], data.frames[t.last],
                        t.count, t.gaps, t.score.toFixed(2), box]) cell(part);
    row.addEventListener("click", e => pick(t.id, t.first, e.shiftKey));
    return row;
  }));
  $("total").textContent = `${shown.length} of ${all.length} tracks`;
}

/** The picture of a track: that of one of its detections' first identities. */
function thumbOf(id) {
  const {data, rows, editing} = state.sequence;
  if (data.thumbs[id] && !state.edits.length) return data.thumbs[id];
  for (let i = 0; i < rows.ids.length; i++)
    if (editing.ids[i] === id && data.thumbs[rows.ids[i]]) return data.thumbs[rows.ids[i]];
  return "";
}

/* ---- places to look at ---- */

const keyOf = event => `${event.kind} ${event.frame} ${event.text}`;

function places() {
  const {data} = state.sequence, key = $("order").value;
  $("heading").textContent = data.heading;
  $("explanation").textContent = data.explanation;
  const events = [...data.events];
  // The strengths of two kinds cannot be compared.
  events.sort((a, b) => (key === "weight" ? a.kind.localeCompare(b.kind) || b.weight - a.weight
    : key === "cls" ? a.cls.localeCompare(b.cls) : 0) || a.frame - b.frame);
  $("events").replaceChildren(...events.map(event => {
    const card = document.createElement("article"), text = document.createElement("p");
    card.className = "event";
    Object.assign(card.dataset, {frame: event.frame, weight: event.weight, kind: event.kind});
    const done = document.createElement("input");
    done.type = "checkbox";
    done.title = "looked at";
    done.checked = state.seen.has(keyOf(event));
    card.classList.toggle("done", done.checked);
    done.addEventListener("click", e => e.stopPropagation());
    done.addEventListener("change", () => {
      state.seen[done.checked ? "add" : "delete"](keyOf(event));
      card.classList.toggle("done", done.checked);
      timeline.model = model();
      timeline.arrange();
      keep();
      panel();
    });
    const strong = document.createElement("strong");
    strong.textContent = `frame ${event.frame}`;
    text.append(done, " ", strong, ` · ${event.cls} · ${event.text}`);
    const strip = document.createElement("div");
    strip.className = "strip";
    for (const [caption, src] of event.looks) {
      const figure = document.createElement("figure"), image = new Image(), words = document.createElement("figcaption");
      image.src = src;
      image.alt = words.textContent = caption;
      figure.append(image, words);
      strip.append(figure);
    }
    card.append(text, strip);
    card.addEventListener("click", () => {
      // Who is in this frame now, by way of the edits.
      const [first, second] = event.ids.map(i => nowOf(i)).filter(i => timeline.model.tracks.has(i));
      if (first) pick(first, data.frames.indexOf(event.frame));
      else seek(data.frames.indexOf(event.frame));
      if (first && second && second !== first) pick(second, state.frame, true);
      $("player").scrollIntoView({block: "nearest"});
    });
    return card;
  }));
}

/** The identity that the detections of an identity of the run mostly have now. */
function nowOf(id) {
  const {rows, editing} = state.sequence, counts = new Map();
  rows.ids.forEach((was, i) => {
    if (was === id && editing.ids[i]) counts.set(editing.ids[i], (counts.get(editing.ids[i]) || 0) + 1);
  });
  return [...counts].sort((x, y) => y[1] - x[1]).map(x => x[0])[0] || 0;
}

/* ---- edits ---- */

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

/** Apply an edit to its sequence and keep it; tell why not if it cannot be. Returns whether it was. */
function edit(change) {
  const whole = {sequence: state.sequence.data.name, ...change};
  try {
    const patch = state.sequence.editing.apply(whole);
    state.edits.push({edit: whole, patch});
    state.undone = [];
    say(described(whole, patch));
    if (patch.made) state.chosen = [patch.made];
    else if (whole.op === "merge") state.chosen = [whole.into];
    keep();
    renew();
    return true;
  } catch (error) {
    say(`Not done: ${error.message}.`, true);
    return false;
  }
}

function described({op, track, into, other, frame, class: cls, first, last}, patch) {
  const span = first === last ? `in frame ${first}` : [first ? `from frame ${first} on` : "",
    last < 1e9 ? `up to frame ${last}` : ""].join(" ").trim();
  return {
    merge: `Merged track ${track} into ${into}.`,
    split: `Split track ${track} at frame ${frame}. From there on, it is track ${patch.made}.`,
    swap: `Swapped tracks ${track} and ${other} from frame ${frame} on.`,
    move: `Moved the detection of track ${track} in frame ${frame} to track ${into || patch.made}.`,
    class: `Track ${track} is now track ${patch.made}, of class ${cls}.`,
    delete: `Deleted track ${track} ${span}`.trim() + ".",
  }[op];
}

function undo() {
  const last = state.edits.pop();
  if (!last) return;
  sequenceOf(last.edit).editing.undo(last.patch);
  state.undone.push(last.edit);
  say(`Undid: ${described(last.edit, last.patch)}`);
  keep();
  renew();
}

function redo() {
  const next = state.undone.pop();
  if (!next) return;
  const patch = sequenceOf(next).editing.apply(next);
  state.edits.push({edit: next, patch});
  say(described(next, patch));
  keep();
  renew();
}

const sequenceOf = ({sequence}) => sequences.find(s => s.data.name === sequence);

/** What edits.json holds. */
const saved = () => ({
  kind: held.kind,
  runs: Object.fromEntries(held.sequences.map(s => [s.name, s.digest])),
  edits: state.edits.map(e => e.edit),
  seen: [...state.seen],
});

/** Take edits from a file or from the browser; returns why not, or "". All of them or none. */
function take(file) {
  if (file.kind !== held.kind || !Array.isArray(file.edits)) return "the file holds no edits of a run";
  const other = held.sequences.find(s => (file.runs || {})[s.name] !== s.digest);
  if (other) return `the file holds edits of another run (sequence ${other.name})`;
  const before = state.edits.map(e => e.edit);
  const replay = list => {
    while (state.edits.length) {
      const last = state.edits.pop();
      sequenceOf(last.edit).editing.undo(last.patch);
    }
    for (const change of list) {
      if (!sequenceOf(change)) throw new Error(`there is no sequence ${change.sequence}`);
      state.edits.push({edit: change, patch: sequenceOf(change).editing.apply(change)});
    }
  };
  try {
    replay(file.edits);
  } catch (error) {
    const number = state.edits.length + 1;
    replay(before);
    return `edit ${number} cannot be applied: ${error.message}`;
  }
  state.undone = [];
  state.seen = new Set(file.seen || []);
  return "";
}

const edits = count => `${count} edit${count === 1 ? "" : "s"}`;

const place = `usc-mots ${held.sequences.map(s => s.digest).join(" ")}`;

/** Keep the edits in the browser: closing the page loses nothing. */
function keep() {
  try {
    localStorage.setItem(place, JSON.stringify(saved()));
  } catch {
    say("This browser keeps nothing for local files: save edits.json before you close the page.", true);
  }
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(saved(), null, 1)], {type: "application/json"}));
  link.download = "edits.json";
  link.click();
  URL.revokeObjectURL(link.href);
  say("Saved edits.json. To apply it: python correct.py --tracks RUN --edits edits.json --output NEW");
}

/* ---- what the user does ---- */

const operations = {
  merge: (a, b) => ({op: "merge", track: a, into: b}),
  split: (a, _, frame) => ({op: "split", track: a, frame}),
  swap: (a, b, frame) => ({op: "swap", track: a, other: b, frame}),
  move: (a, b, frame) => ({op: "move", track: a, frame, into: b}),
  new: (a, _, frame) => ({op: "move", track: a, frame, into: 0}),
  delete: a => ({op: "delete", track: a, first: 0, last: 1e9}),
  before: (a, _, frame) => ({op: "delete", track: a, first: 0, last: frame}),
  after: (a, _, frame) => ({op: "delete", track: a, first: frame, last: 1e9}),
  here: (a, _, frame) => ({op: "delete", track: a, first: frame, last: frame}),
};

function act(op) {
  const [a, b] = state.chosen;
  edit(operations[op](a, b, state.sequence.data.frames[state.frame]));
}

for (const button of document.querySelectorAll("[data-op]"))
  button.addEventListener("click", () => act(button.dataset.op));
$("to-class").addEventListener("change", () => {
  const cls = Number($("to-class").value);
  $("to-class").value = "";
  if (cls && state.chosen[0]) edit({op: "class", track: state.chosen[0], class: cls});
});
$("undo").addEventListener("click", undo);
$("redo").addEventListener("click", redo);
$("save").addEventListener("click", save);
$("load").addEventListener("change", async () => {
  const [file] = $("load").files;
  let why = "the file is not JSON", content = null;
  try { content = JSON.parse(await file.text()); } catch { /* said below */ }
  if (content) why = take(content);
  say(why ? `Not loaded: ${why}.` : `Loaded ${edits(state.edits.length)}.`, Boolean(why));
  $("load").value = "";
  keep();
  renew();
  places();
});
$("which").addEventListener("change", () => open(Number($("which").value)));
$("play").addEventListener("click", toggle);
$("back").addEventListener("click", () => { pause(); seek(state.frame - 1); });
$("forth").addEventListener("click", () => { pause(); seek(state.frame + 1); });
$("scrub").addEventListener("input", () => { pause(); seek(Number($("scrub").value)); });
$("number").addEventListener("change", () => {
  const {frames} = state.sequence.data, wanted = Number($("number").value);
  pause();
  seek(Math.max(0, frames.findIndex(f => f >= wanted)));
});
$("speed").addEventListener("change", () => { if (state.playing) play(state.playing); });
for (const name of ["fill", "labels"]) $(name).addEventListener("input", redraw);
$("search").addEventListener("input", table);
$("order").addEventListener("change", places);
$("marked").addEventListener("change", () => {
  timeline.marksFirst = $("marked").checked;
  timeline.arrange();
});
for (const head of document.querySelectorAll("[data-key]"))
  head.addEventListener("click", () => {
    order.down = order.key === head.dataset.key && !order.down;
    order.key = head.dataset.key;
    table();
  });
canvas.addEventListener("click", e => {
  const room = canvas.getBoundingClientRect(), [, width] = state.sequence.data.size;
  const scale = width / room.width;
  const row = rowAt((e.clientX - room.left) * scale, (e.clientY - room.top) * scale);
  if (row >= 0) pick(state.sequence.editing.ids[row], state.frame, e.shiftKey);
  else { state.chosen = []; redraw(); }
});
document.addEventListener("keydown", e => {
  if (/INPUT|SELECT|TEXTAREA/.test(e.target.tagName) && e.target.type !== "range" && e.target.type !== "checkbox") return;
  const keys = {
    " ": toggle, k: toggle, l: () => play(1), j: () => play(-1),
    ArrowLeft: () => { pause(); seek(state.frame - (e.shiftKey ? 10 : 1)); },
    ArrowRight: () => { pause(); seek(state.frame + (e.shiftKey ? 10 : 1)); },
    Escape: () => { state.chosen = []; redraw(); },
  };
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z") (e.shiftKey ? redo : undo)();
  else if (e.ctrlKey || e.metaKey || e.altKey) return;
  else if (keys[e.key] || keys[e.key.toLowerCase()]) (keys[e.key] || keys[e.key.toLowerCase()])();
  else return;
  e.preventDefault();
});
new ResizeObserver(() => { if (state.sequence) redraw(); }).observe($("stage"));
video.addEventListener("ended", () => pause());
video.addEventListener("error", () => {
  if (state.sequence && state.sequence.data.video)
    say(`Cannot play ${state.sequence.data.video}. Keep the folder "pictures" next to this page. The masks are shown without the video.`, true);
});
window.addEventListener("beforeprint", pause);

/* Tables of scores sort by a click on a column. */
const amount = text => { const v = parseFloat(text); return Number.isNaN(v) ? -Infinity : v; };
for (const scores of document.querySelectorAll("table.sortable"))
  scores.querySelectorAll("th button").forEach((button, i) => {
    let down = false;
    button.addEventListener("click", () => {
      down = !down;
      const lines = [...scores.tBodies[0].rows], text = r => r.cells[i].textContent;
      const words = lines.every(r => Number.isNaN(parseFloat(text(r))));
      lines.sort((a, b) => (words ? text(a).localeCompare(text(b)) : amount(text(a)) - amount(text(b))) * (down ? -1 : 1));
      scores.tBodies[0].append(...lines);
    });
  });

sequences.forEach(({data}, i) => $("which").append(new Option(data.name, i)));
$("which").parentElement.hidden = sequences.length < 2;
if (sequences.length) {
  open(0);
  try {
    const kept = localStorage.getItem(place);
    if (kept && !take(JSON.parse(kept)) && state.edits.length) {
      say(`Restored ${edits(state.edits.length)} from this browser.`);
      renew();
      places();
    }
  } catch { /* a browser that keeps nothing */ }
} else $("player").hidden = true;
