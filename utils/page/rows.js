"use strict";
/* The detections of a sequence, unpacked: see utils/page/rows.py for the bytes.

   unpack(text, count) returns columns with an entry for each detection, in the order of the MOTS
   txt: frame (its index), ids, classes, scores (0 to 1), rings ([[x, y, x, y, ...], ...] in px), and
   starts: the first detection of each frame, and one more entry, their number. */

function unpack(text, count) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  let at = 0;
  const next = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte & 128);
    return value;
  };
  const signed = () => {
    const v = next();
    return v % 2 ? -(v + 1) / 2 : v / 2;
  };
  const rows = {frame: [], ids: [], classes: [], scores: [], rings: [], starts: []};
  for (let frame = 0; frame < count; frame++) {
    rows.starts.push(rows.ids.length);
    for (let k = next(); k > 0; k--) {
      rows.frame.push(frame);
      rows.ids.push(next());
      rows.classes.push(next());
      rows.scores.push(next() / 10000);
      const rings = [];
      let fx = 0, fy = 0;
      for (let r = next(); r > 0; r--) {
        const points = next(), ring = new Array(2 * points);
        let x = fx, y = fy;
        for (let p = 0; p < points; p++) {
          ring[2 * p] = x += signed();
          ring[2 * p + 1] = y += signed();
        }
        [fx, fy] = ring;
        rings.push(ring);
      }
      rows.rings.push(rings);
    }
  }
  rows.starts.push(rows.ids.length);
  return rows;
}

/** The box of an outline: [left, top, right, bottom] in px, null without a point. */
function boxOf(rings) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of rings)
    for (let i = 0; i < ring.length; i += 2) {
      x0 = Math.min(x0, ring[i]); x1 = Math.max(x1, ring[i]);
      y0 = Math.min(y0, ring[i + 1]); y1 = Math.max(y1, ring[i + 1]);
    }
  return x0 <= x1 ? [x0, y0, x1 + 1, y1 + 1] : null;
}

/** The colour of an identity, the same as in videos (utils/identity_colours.py). */
function colourOf(identity, alpha = 1) {
  const hue = (identity * 0.618034 + Math.floor(identity / 1000) * 0.31) % 1;
  const light = 1 - 200 / 255 / 2;  // HSV's value 1 and saturation 200 / 255
  return `hsl(${360 * hue} 100% ${100 * light}% / ${alpha})`;
}

/** [{id, cls, first, last, count, score, gaps, spans: [[first, last], ...]}] of tracks, by id.
    Frames are indices. */
function tracksOf(rows, ids, classes) {
  const tracks = new Map();
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i], frame = rows.frame[i];
    if (!id) continue;
    let track = tracks.get(id);
    if (!track) {
      track = {id, cls: classes[i], first: frame, last: frame, count: 0, score: 0,
               spans: [[frame, frame]]};
      tracks.set(id, track);
    }
    const span = track.spans[track.spans.length - 1];
    if (frame > span[1] + 1) track.spans.push([frame, frame]);
    else span[1] = frame;
    track.last = frame;
    track.count++;
    track.score += rows.scores[i];
  }
  for (const track of tracks.values()) {
    track.score /= track.count;
    track.gaps = track.spans.length - 1;
  }
  return tracks;
}
