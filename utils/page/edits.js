"use strict";
/* Corrections of identities, the same as utils/edits.py: see there for what each edit does.

   Editing holds the identities and classes of one sequence's detections. apply(edit) changes them
   and returns what undo(patch) needs; it throws an Error whose message says why an edit cannot be. */

class Editing {
  constructor(frames, ids, classes) {
    this.frames = Int32Array.from(frames);
    this.ids = Int32Array.from(ids);
    this.classes = Int32Array.from(classes);
    this.used = new Set(ids);
  }

  rowsOf(track) {
    const rows = [];
    if (track) for (let i = 0; i < this.ids.length; i++) if (this.ids[i] === track) rows.push(i);
    return rows;
  }

  /** The rows of a track, which must have some. */
  need(track) {
    const rows = this.rowsOf(track);
    if (!rows.length) throw new Error(`there is no track ${track}`);
    return rows;
  }

  /** An unused identity of a class: one above its highest now. */
  fresh(cls) {
    let highest = 0;
    for (let i = 0; i < this.ids.length; i++)
      if (this.classes[i] === cls && this.ids[i] > highest) highest = this.ids[i];
    let number = (highest || cls * 1000) + 1;
    while (this.used.has(number)) number++;
    return number;
  }

  apply(edit) {
    const patch = {rows: [], ids: [], classes: [], made: 0};
    const mine = this.need(edit.track);
    const cls = this.classes[mine[0]];
    // [rows, track, class] of all changes; checked before the first takes effect.
    const changes = [];
    const later = rows => rows.filter(i => this.frames[i] >= edit.frame);
    const make = c => (patch.made = this.fresh(c));
    if (edit.op === "merge") {
      const into = this.need(edit.into);
      if (edit.into === edit.track) throw new Error("merging needs two tracks");
      changes.push([mine, edit.into, this.classes[into[0]]]);
    } else if (edit.op === "split") {
      const rows = later(mine);
      if (!rows.length || rows.length === mine.length)
        throw new Error(`all detections of track ${edit.track} are on one side of this frame`);
      changes.push([rows, make(cls), cls]);
    } else if (edit.op === "swap") {
      const theirs = this.need(edit.other);
      if (edit.other === edit.track) throw new Error("swapping needs two tracks");
      const [a, b] = [later(mine), later(theirs)];
      if (!a.length && !b.length) throw new Error("neither track has a detection from here on");
      changes.push([a, edit.other, this.classes[theirs[0]]], [b, edit.track, cls]);
    } else if (edit.op === "move") {
      const row = mine.filter(i => this.frames[i] === edit.frame);
      if (!row.length) throw new Error(`track ${edit.track} has no detection in this frame`);
      if (!edit.into && mine.length === 1) throw new Error(`track ${edit.track} has only this detection`);
      if (edit.into === edit.track) throw new Error("moving needs two tracks");
      const c = edit.into ? this.classes[this.need(edit.into)[0]] : cls;
      changes.push([row, edit.into || make(c), c]);
    } else if (edit.op === "class") {
      if (!(edit.class > 0) || edit.class === cls) throw new Error("this is its class already");
      changes.push([mine, make(edit.class), edit.class]);
    } else if (edit.op === "delete") {
      const gone = mine.filter(i => this.frames[i] >= edit.first && this.frames[i] <= edit.last);
      if (!gone.length) throw new Error(`track ${edit.track} has no detection in these frames`);
      changes.push([gone, 0, cls]);
    } else throw new Error(`there is no edit ${edit.op}`);

    if (edit.op === "merge" || edit.op === "move") {
      const [rows, track] = changes[0];
      const taken = new Set(this.rowsOf(track).map(i => this.frames[i]));
      const both = rows.find(i => taken.has(this.frames[i]));
      if (both !== undefined)
        throw new Error(`both tracks have a detection in frame ${this.frames[both]}`);
    }
    for (const [rows] of changes)
      for (const i of rows) {
        patch.rows.push(i);
        patch.ids.push(this.ids[i]);
        patch.classes.push(this.classes[i]);
      }
    for (const [rows, track, c] of changes)
      for (const i of rows) {
        this.ids[i] = track;
        if (track) this.classes[i] = c;
      }
    if (patch.made) this.used.add(patch.made);
    return patch;
  }

  undo(patch) {
    patch.rows.forEach((row, k) => {
      this.ids[row] = patch.ids[k];
      this.classes[row] = patch.classes[k];
    });
    if (patch.made) this.used.delete(patch.made);
  }
}
