"use strict";
// Where answers go when there is no server: into this browser, and at the end into a file that is sent back.

const clips = new Map();
// Called by the files of clips, which a page from a disk may load as scripts and as nothing else.
function clip(code, base64) {
  clips.get(code)?.resolve(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}

class Transport {
  constructor() {
    this.listener = Number(new URLSearchParams(location.search).get("listener")) || null;
  }

  async test() {
    const test = { ...DATA.test, open: true, preview: false };
    if (this.listener === null) test.listeners = DATA.plans.length;
    else this.choose(this.listener);
    if (this.listener !== null && this.stored().began) test.session = this.session();
    return test;
  }

  choose(number) {
    if (!Number.isInteger(number) || number < 1 || number > DATA.plans.length) {
      throw new Problem(`Your number lies from 1 to ${DATA.plans.length}.`, 422);
    }
    this.listener = number;
  }

  get key() {
    return `listening:${DATA.id}:${this.listener}`;
  }

  stored() {
    return JSON.parse(localStorage.getItem(this.key) ?? '{"began": null, "answers": [], "questions": null}');
  }

  store(change) {
    localStorage.setItem(this.key, JSON.stringify({ ...this.stored(), ...change }));
  }

  session() {
    const { began, answers, questions } = this.stored();
    const screens = DATA.plans[this.listener - 1];
    return { begun: began !== null, screens, answered: answers.length, finished: questions !== null, completion: null, file: this.file() };
  }

  async begin() {
    if (this.stored().began === null) this.store({ began: new Date().toISOString() });
    return this.session();
  }

  async answer(screen, answer) {
    const { answers } = this.stored();
    if (screen === answers.length) this.store({ answers: [...answers, answer] });
    return { answered: screen + 1 };
  }

  async finish(questions) {
    this.store({ questions });
    return this.session();
  }

  file() {
    const text = JSON.stringify({ test: DATA.id, listener: this.listener, ...this.stored() }, null, 1);
    return { name: `ratings-${this.listener}.json`, url: URL.createObjectURL(new Blob([text], { type: "application/json" })) };
  }

  clip(code) {
    if (!clips.has(code)) {
      const entry = {};
      entry.loaded = new Promise((resolve, reject) => {
        entry.resolve = resolve;
        const script = document.createElement("script");
        script.src = `clips/${code}.js`;
        script.onerror = () => reject(new Problem("A sound could not be loaded.", 404));
        document.head.append(script);
      });
      clips.set(code, entry);
    }
    return clips.get(code).loaded;
  }
}
