"use strict";
// Plays the versions of a screen in step, so that switching between them goes on at the same sample.

const FADE = 0.005; // seconds in which one version gives way to another
const BIN = 0.05; // seconds: how finely what has been heard is kept
const ENOUGH = 0.95; // share of a version after which it has been heard

class Player {
  // load: code -> Promise of an ArrayBuffer of a WAV file; changed: called whenever something is to be shown anew.
  constructor(load, changed) {
    this.load = load;
    this.changed = changed;
    this.context = null;
    this.tracks = new Map();
    this.active = null;
    this.playing = false;
    this.looped = true;
    this.offset = 0;
    setInterval(() => this.tick(), 40);
  }

  // Take other versions: fetched at once, decoded when the first of them is played.
  open(codes, heard = []) {
    this.stop();
    this.offset = 0;
    this.active = null;
    this.ready = null;
    this.tracks = new Map();
    for (const code of codes) {
      this.tracks.set(code, { bytes: this.load(code), buffer: null, bins: null, done: heard.includes(code) });
    }
    for (const track of this.tracks.values()) track.bytes.catch(() => {}); // told when it is played
  }

  get length() {
    return Math.max(0, ...[...this.tracks.values()].map((track) => (track.buffer ? track.buffer.duration : 0)));
  }

  heard(code) {
    return this.tracks.get(code)?.done ?? false;
  }

  get position() {
    if (!this.playing) return this.offset;
    const passed = this.context.currentTime - this.began + this.offset;
    return passed < 0 ? this.offset : this.looped ? passed % this.length : Math.min(passed, this.length);
  }

  async prepare() {
    // Browsers allow sound only after somebody has pressed something.
    this.context = this.context ?? new AudioContext();
    const resumed = this.context.resume();
    const tracks = [...this.tracks.values()];
    this.ready = this.ready ?? Promise.all(tracks.map(async (track) => {
      track.buffer = await this.context.decodeAudioData((await track.bytes).slice(0));
      track.bins = new Uint8Array(Math.max(1, Math.floor(track.buffer.duration / BIN)));
    }));
    await Promise.all([resumed, this.ready]);
  }

  // Play a version: from where the others are if something plays, and else from where it was stopped.
  async play(code) {
    const tracks = this.tracks;
    this.active = code;
    this.changed();
    await this.prepare();
    if (tracks !== this.tracks || this.active !== code) return; // somebody has gone on in the meantime
    if (!this.playing) this.start();
    const now = this.context.currentTime;
    for (const [name, track] of this.tracks) {
      track.gain.gain.cancelScheduledValues(now);
      track.gain.gain.setTargetAtTime(name === code ? 1 : 0, now, FADE / 3);
    }
    this.mark = this.position;
    this.changed();
  }

  start() {
    if (!this.looped && this.offset >= this.length - BIN) this.offset = 0;
    this.began = this.context.currentTime + 0.03;
    for (const track of this.tracks.values()) {
      track.gain = new GainNode(this.context, { gain: 0 });
      track.source = new AudioBufferSourceNode(this.context, { buffer: track.buffer, loop: this.looped });
      track.source.connect(track.gain).connect(this.context.destination);
      track.source.start(this.began, this.offset);
    }
    this.mark = this.offset;
    this.playing = true;
  }

  stop() {
    if (!this.playing) return;
    this.tick();
    this.offset = this.position;
    this.playing = false;
    for (const track of this.tracks.values()) {
      track.source.stop();
      track.source.disconnect();
      track.gain.disconnect();
    }
    this.changed();
  }

  toggle() {
    if (this.playing) this.stop();
    else this.play(this.active ?? this.tracks.keys().next().value);
  }

  set loop(wanted) {
    const code = this.active;
    const playing = this.playing;
    this.stop();
    this.looped = wanted;
    if (playing) this.play(code);
  }

  // Note what has just been heard, and stop at the end.
  tick() {
    if (!this.playing || this.active === null) return;
    const track = this.tracks.get(this.active);
    const now = this.position;
    const last = track.bins.length - 1;
    const bin = (time) => Math.min(last, Math.floor(time / BIN));
    const spans = now >= this.mark ? [[this.mark, now]] : [[this.mark, this.length], [0, now]];
    for (const [from, to] of spans) track.bins.fill(1, bin(from), bin(to) + 1);
    this.mark = now;
    if (!track.done && track.bins.reduce((sum, one) => sum + one, 0) >= ENOUGH * track.bins.length) {
      track.done = true;
      this.changed();
    }
    if (!this.looped && now >= this.length) {
      this.playing = false;
      this.offset = 0;
      this.changed();
    }
  }
}
