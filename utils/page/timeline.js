"use strict";
/* The timeline: a row for each track, classes one after another, which can be folded.

   It draws only the rows and frames that are in view, so that it stays quick however many there are.
   Frames are indices. `model` gives it {tracks, names, count, frames, selected: [ids], marks: ids with
   something to look at, hidden: classes}; `pick(id, frame, also)` and `seek(frame)` are told
   what was clicked; `also` with Shift. */

const ROW = 16;      // px of a track's row
const NAMES = 76;    // px of the column of identities
const HEAD = 20;     // px of the row of frame numbers
const CLOSEST = 20;  // frames in view at least

class Timeline {
  constructor(holder, model, pick, seek) {
    this.holder = holder;
    this.canvas = holder.querySelector("canvas");
    this.spacer = holder.querySelector(".spacer");
    [this.model, this.pick, this.seek] = [model, pick, seek];
    this.folded = new Set();
    this.marksFirst = false;
    this.from = 0;  // first frame in view, and how many there are
    this.span = Math.max(CLOSEST, model.count);
    this.cursor = 0;
    this.lines = [];
    holder.addEventListener("scroll", () => this.later());
    holder.addEventListener("wheel", e => this.zoom(e), {passive: false});
    holder.addEventListener("pointerdown", e => this.grab(e));
    new ResizeObserver(() => this.later()).observe(holder);
    this.arrange();
  }

  /** Take new tracks into account. */
  arrange() {
    const byClass = new Map();
    for (const track of this.model.tracks.values()) {
      if (this.model.hidden.has(track.cls)) continue;
      if (!byClass.has(track.cls)) byClass.set(track.cls, []);
      byClass.get(track.cls).push(track);
    }
    this.lines = [];
    for (const cls of [...byClass.keys()].sort((a, b) => a - b)) {
      const tracks = byClass.get(cls);
      const marked = t => (this.marksFirst && this.model.marks.has(t.id) ? 0 : 1);
      tracks.sort((a, b) => marked(a) - marked(b) || a.first - b.first || a.id - b.id);
      this.lines.push({cls, count: tracks.length});
      if (!this.folded.has(cls)) for (const track of tracks) this.lines.push({track});
    }
    this.spacer.style.height = `${HEAD + this.lines.length * ROW}px`;
    this.later();
  }

  /** Draw at the next moment the browser has. */
  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.draw());
  }

  x(frame) {
    return NAMES + (frame - this.from) / this.span * (this.width - NAMES);
  }

  frameAt(x) {
    return this.from + (x - NAMES) / (this.width - NAMES) * this.span;
  }

  draw() {
    this.waiting = 0;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.holder.clientWidth, this.holder.clientHeight];
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.width = width;
    const style = getComputedStyle(this.holder);
    const [ink, soft, wash, paper, accent] = ["--ink", "--soft", "--wash", "--paper", "--accent"]
      .map(name => style.getPropertyValue(name));
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = paper;
    c.fillRect(0, 0, width, height);
    c.font = "12px system-ui, sans-serif";
    c.textBaseline = "middle";
    const top = this.holder.scrollTop;
    const first = Math.max(0, Math.floor(top / ROW));
    const last = Math.min(this.lines.length, Math.ceil((top + height - HEAD) / ROW) + 1);
    for (let i = first; i < last; i++) this.drawLine(c, this.lines[i], HEAD + i * ROW - top, ink, soft, wash);
    c.fillStyle = paper;
    c.fillRect(0, 0, width, HEAD);
    c.fillStyle = soft;
    const step = this.tick();
    for (let f = Math.ceil(this.from / step) * step; f <= this.from + this.span; f += step) {
      const x = this.x(f);
      if (f < this.model.count && x < width - 20) c.fillText(this.model.frames[f], x + 2, HEAD / 2);
      c.fillRect(x, HEAD - 4, 1, 4);
    }
    c.fillStyle = accent;
    if (this.cursor >= this.from && this.cursor <= this.from + this.span)
      c.fillRect(Math.round(this.x(this.cursor + 0.5)) - 1, 0, 2, height);
  }

  drawLine(c, line, y, ink, soft, wash) {
    if (line.track === undefined) {
      c.fillStyle = wash;
      c.fillRect(0, y, this.width, ROW);
      c.fillStyle = ink;
      const name = this.model.names[line.cls] || `class ${line.cls}`;
      c.fillText(`${this.folded.has(line.cls) ? "▸" : "▾"} ${name} (${line.count})`, 4, y + ROW / 2);
      return;
    }
    const track = line.track, chosen = this.model.selected.includes(track.id);
    if (chosen) {
      c.fillStyle = wash;
      c.fillRect(0, y, this.width, ROW);
    }
    const right = this.width, end = this.from + this.span;
    c.fillStyle = colourOf(track.id, 0.25);
    const [a, b] = [Math.max(NAMES, this.x(track.first)), Math.min(right, this.x(track.last + 1))];
    if (b > a) c.fillRect(a, y + ROW / 2 - 1, b - a, 2);
    c.fillStyle = colourOf(track.id);
    for (const [from, to] of track.spans) {
      if (to < this.from) continue;
      if (from > end) break;
      const left = Math.max(NAMES, this.x(from));
      c.fillRect(left, y + 3, Math.max(1, Math.min(right, this.x(to + 1)) - left), ROW - 6);
    }
    c.fillStyle = ink;
    c.font = `${chosen ? "bold " : ""}12px system-ui, sans-serif`;
    c.fillText(track.id, 4, y + ROW / 2);
    if (this.model.marks.has(track.id)) c.fillText("!", NAMES - 10, y + ROW / 2);
  }

  /** Frames between two frame numbers, so that these do not run into each other. */
  tick() {
    const least = this.span * 70 / Math.max(1, this.width - NAMES);
    let step = 1;
    while (step < least) step *= String(step)[0] === "2" ? 2.5 : 2;
    return step;
  }

  /** The wheel zooms around the pointer. */
  zoom(e) {
    if (e.shiftKey) return;  // scrolls
    e.preventDefault();
    const at = this.frameAt(Math.max(NAMES, e.clientX - this.holder.getBoundingClientRect().left));
    const span = this.span * (e.deltaY > 0 ? 1.25 : 0.8);
    this.view(at - (at - this.from) / this.span * span, span);
  }

  /** Show `span` frames from a frame on, as far as there are so many. */
  view(from, span) {
    this.span = Math.min(Math.max(span, CLOSEST), Math.max(CLOSEST, this.model.count));
    this.from = Math.min(Math.max(from, 0), Math.max(0, this.model.count - this.span));
    this.later();
  }

  /** Dragging moves what is in view; a click chooses. */
  grab(e) {
    const box = this.holder.getBoundingClientRect();
    const start = {x: e.clientX, y: e.clientY, from: this.from, top: this.holder.scrollTop};
    if (e.clientX - box.left > this.holder.clientWidth) return;  // the scroll bar
    let moved = false;
    const move = m => {
      moved = moved || Math.abs(m.clientX - start.x) + Math.abs(m.clientY - start.y) > 4;
      if (!moved) return;
      this.view(start.from - (m.clientX - start.x) / (this.width - NAMES) * this.span, this.span);
      this.holder.scrollTop = start.top - (m.clientY - start.y);
    };
    const up = () => {
      window.removeEventListener("pointermove", move);
      if (!moved) this.click(e.clientX - box.left, e.clientY - box.top, e.shiftKey);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up, {once: true});
  }

  click(x, y, also) {
    const frame = Math.min(this.model.count - 1, Math.max(0, Math.floor(this.frameAt(x))));
    const line = y < HEAD ? null : this.lines[Math.floor((y - HEAD + this.holder.scrollTop) / ROW)];
    if (line && line.track === undefined) {
      this.folded[this.folded.has(line.cls) ? "delete" : "add"](line.cls);
      this.arrange();
    } else if (line) this.pick(line.track.id, x < NAMES ? line.track.first : frame, also);
    else if (x >= NAMES) this.seek(frame);
  }

  /** Bring a track's row, and a frame, into view. */
  show(id, frame) {
    const at = this.lines.findIndex(line => line.track && line.track.id === id);
    const top = at * ROW, room = this.holder.clientHeight - HEAD - ROW;
    if (at >= 0 && (top < this.holder.scrollTop || top > this.holder.scrollTop + room))
      this.holder.scrollTop = Math.max(0, top - room / 2);
    this.move(frame);
  }

  move(frame) {
    this.cursor = frame;
    if (frame < this.from || frame > this.from + this.span) this.view(frame - this.span / 2, this.span);
    this.later();
  }
}
