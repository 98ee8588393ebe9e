"use strict";
// The pages of a test, one after the other: consent, loudness, every screen, questions, thanks.

// What went wrong, in words for a listener, with the status of the server's reply; 0 where there was none.
class Problem extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

const page = document.getElementById("page");
const transport = new Transport();
let test = null;
let session = null;
let render = () => {};
let keys = () => {};
const player = new Player((code) => transport.clip(code), () => render());

// Nothing is ever put into the page but as text.
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

function show(heading, ...children) {
  player.open([]);
  render = () => {};
  keys = () => {};
  const head = el("h1", { tabindex: -1 }, heading);
  page.replaceChildren(head, ...children.filter((child) => child !== null));
  document.title = `${heading} – ${test?.title ?? "Listening test"}`;
  const rated = session?.screens ?? [];
  document.getElementById("progress").value = rated.length ? session.answered / rated.length : 0;
  document.getElementById("place").textContent = "";
  scrollTo(0, 0);
  head.focus({ preventScroll: true });
}

function failed(problem) {
  if (!(problem instanceof Problem)) throw problem;
  show("This did not work", el("p", { class: "problem" }, problem.message), el("p", {}, el("button", { class: "main", onclick: () => location.reload() }, "Try again")));
}

function consent() {
  const problem = el("p", { class: "problem", role: "alert" });
  const agreed = el("input", { type: "checkbox", id: "agreed" });
  const number = test.listeners ? el("input", { type: "number", id: "number", min: 1, max: test.listeners, inputmode: "numeric" }) : null;
  const begin = async () => {
    if (!agreed.checked) {
      problem.textContent = "Tick the box if you agree; otherwise close this page.";
      agreed.focus();
      return;
    }
    try {
      if (number) transport.choose(Number(number.value));
      session = await transport.begin();
      next(true);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem.textContent = error.message;
    }
  };
  show(
    test.title,
    el("p", { class: "lead" }, test.instructions),
    el("h2", {}, "Before you begin"),
    el("p", { class: "lead" }, test.consent),
    number ? el("p", {}, el("label", { for: "number" }, "The number you were given: "), number) : null,
    el("p", {}, el("label", { class: "agree" }, agreed, "I agree to take part")),
    problem,
    el("p", {}, el("button", { class: "main", onclick: begin }, "Begin")),
  );
}

function loudness() {
  const screen = session.screens[session.answered];
  const button = el("button", { onclick: () => player.toggle() }, "Play a sound");
  show(
    "Loudness",
    el("p", { class: "lead" }, "Put on headphones if you have some, go where it is quiet, and set a loudness at which you hear every detail. Then leave it as it is."),
    el("p", { class: "controls" }, button, el("button", { class: "main", onclick: () => rate(session.answered) }, "I hear it well")),
    session.answered ? el("p", { class: "note" }, `You go on where you stopped: ${session.answered} of ${session.screens.length} are done.`) : null,
  );
  player.open([screen.reference ?? screen.versions[0]]);
  render = () => { button.textContent = player.playing ? "Stop" : "Play a sound"; };
}

function next(first = false) {
  if (session.finished) done();
  else if (session.answered >= session.screens.length) questions();
  else if (first) loudness();
  else rate(session.answered);
}

// What has been moved on a screen, and heard, before it is sent.
const drafts = {
  get: (number) => JSON.parse(localStorage.getItem(`${transport.key}:${number}`) ?? '{"given": {}, "heard": []}'),
  set: (number, draft) => localStorage.setItem(`${transport.key}:${number}`, JSON.stringify(draft)),
  drop: (number) => localStorage.removeItem(`${transport.key}:${number}`),
};

function gradeOf(value) {
  const [low, high] = test.scale;
  const place = Math.min(test.grades.length - 1, Math.floor(((high - value) / (high - low)) * test.grades.length));
  return test.grades[place];
}

function slider(name, given, set) {
  const [low, high, step] = test.scale;
  const output = el("output", {}, given === undefined ? "–" : String(given));
  const input = el("input", { type: "range", min: low, max: high, step, value: given ?? (low + high) / 2, "aria-label": `${name}: rating` });
  const scale = el("div", { class: given === undefined ? "scale empty" : "scale" }, input, output, el("div", { class: "grades", "aria-hidden": "true" }, ...test.grades.map((grade) => el("span", {}, grade))));
  const told = () => input.setAttribute("aria-valuetext", scale.classList.contains("empty") ? "not rated" : `${input.value}, ${gradeOf(Number(input.value))}`);
  const take = () => {
    scale.classList.remove("empty");
    output.textContent = input.value;
    told();
    set(Number(input.value));
  };
  input.addEventListener("input", take);
  // The middle is a rating too, for whoever presses it.
  input.addEventListener("pointerup", take);
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") take(); });
  told();
  return scale;
}

function options(legend, name, choices, given, set) {
  const labels = choices.map(([value, text]) => el("label", {}, el("input", { type: "radio", name, value: String(value), checked: given === value, onchange: () => set(value) }), text));
  return el("fieldset", {}, el("legend", { class: "unseen" }, legend), el("div", { class: "choice" }, ...labels));
}

function rate(number) {
  const screen = session.screens[number];
  const draft = drafts.get(number);
  const began = performance.now();
  const before = draft.seconds ?? 0;
  const chooses = test.scale === null;
  const grades = !chooses && test.scale[1] === 5;
  const names = new Map(screen.versions.map((code, place) => [code, `Version ${place + 1}`]));
  const keep = () => {
    draft.heard = [...names.keys()].filter((code) => player.heard(code));
    draft.seconds = before + (performance.now() - began) / 1000;
    drafts.set(number, draft);
  };
  const set = (code, value) => {
    if (chooses) draft.given = { choice: value };
    else draft.given[code] = value;
    problem.textContent = "";
    render();
  };
  const buttons = new Map();
  const button = (code, name, key) => {
    const mark = el("span", { "aria-hidden": "true" });
    const node = el("button", { "aria-pressed": "false", "aria-keyshortcuts": key, onclick: () => { if (player.active === code && player.playing) player.stop(); else player.play(code).catch(broken); } }, name, mark);
    buttons.set(code, { node, mark, name });
    return node;
  };
  const broken = (error) => { problem.textContent = error instanceof Problem ? `${error.message} Try again in a moment.` : "A sound could not be played; load this page again."; };
  const rows = screen.versions.map((code, place) => {
    const name = names.get(code);
    const answer = chooses ? null : grades
      ? options(`${name}: rating`, code, test.grades.map((grade, at) => [5 - at, grade]), draft.given[code], (value) => set(code, value))
      : slider(name, draft.given[code], (value) => set(code, value));
    return el("li", { class: "version" }, button(code, name, String(place + 1)), answer);
  });
  const play = el("button", { onclick: () => player.toggle() }, "Play");
  const bar = el("i");
  const shortcuts = el("input", { type: "checkbox", checked: localStorage.getItem("listening:keys") !== "off", onchange: (event) => localStorage.setItem("listening:keys", event.target.checked ? "on" : "off") });
  const problem = el("p", { class: "problem", role: "alert" });
  const missing = () => {
    const unheard = [...names].filter(([code]) => !player.heard(code)).map(([, name]) => name);
    const unrated = chooses ? [] : [...names].filter(([code]) => draft.given[code] === undefined).map(([, name]) => name);
    const said = [];
    if (unheard.length) said.push(`${unheard.join(", ")}: not heard to the end.`);
    if (unrated.length) said.push(`${unrated.join(", ")}: not rated.`);
    if (chooses && draft.given.choice === undefined) said.push("Nothing is chosen.");
    return said.join(" ");
  };
  let sending = false;
  const send = async () => {
    if (sending) return;
    if (!test.preview || !confirmSkip()) {
      const said = missing();
      if (said) { problem.textContent = said; return; }
    }
    keep();
    player.stop();
    const body = { heard: [...names.keys()], seconds: Math.round(draft.seconds * 10) / 10 };
    if (chooses) body.choice = draft.given.choice ?? null;
    else body.scores = Object.fromEntries([...names.keys()].map((code) => [code, draft.given[code] ?? test.scale[0]]));
    sending = true;
    for (let wait = 1; ; wait = Math.min(2 * wait, 30)) {
      try {
        session.answered = (await transport.answer(number, body)).answered;
        drafts.drop(number);
        next();
        return;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (error.status === 409) { session = await transport.session(); next(); return; }
        if (error.status !== 0 && error.status < 500) { failed(error); return; }
        problem.textContent = `${error.message} Your answer is kept here and is sent as soon as that works.`;
        await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
      }
    }
  };
  const confirmSkip = () => missing() === "" || window.confirm("Preview: skip this screen?");
  const submit = el("button", { onclick: send }, "Next");
  show(
    test.question,
    screen.training ? el("p", {}, el("span", { class: "practice" }, "Practice"), el("span", { class: "note" }, " These ratings do not count.")) : null,
    screen.text ? el("blockquote", {}, screen.text) : null,
    el("div", { class: "controls" }, play, screen.reference ? button(screen.reference, "Reference", "0") : null, el("div", { class: "time", "aria-hidden": "true" }, bar), el("label", {}, el("input", { type: "checkbox", checked: player.looped, onchange: (event) => { player.loop = event.target.checked; } }), "Repeat")),
    el("ul", { class: "versions" }, ...rows),
    chooses ? options("Your choice", "choice", [...[...names].map(([code, name]) => [code, name]), [null, "No preference"]], draft.given.choice, (value) => set(null, value)) : null,
    problem,
    el("div", { class: "next" }, submit, el("label", { class: "agree note keys" }, shortcuts, `Keys: 1 to ${names.size} switch,${screen.reference ? " 0 plays the reference," : ""} space stops and plays`)),
  );
  document.getElementById("place").textContent = `${number + 1} of ${session.screens.length}`;
  player.open([...(screen.reference ? [screen.reference] : []), ...screen.versions], draft.heard);
  let told = null;
  render = () => {
    play.textContent = player.playing ? "Stop" : "Play";
    for (const [code, { node, mark, name }] of buttons) {
      const now = player.playing && player.active === code;
      node.setAttribute("aria-pressed", String(now));
      node.setAttribute("aria-label", name + (names.has(code) && player.heard(code) ? ", heard" : ""));
      mark.textContent = now ? "♪" : names.has(code) && player.heard(code) ? "✓" : "";
      if (now && told !== code) { told = code; say(`${name} plays`); }
    }
    if (!player.playing) told = null;
    keep();
    // It can be pressed at any time, and then says what is missing; it only looks less inviting.
    submit.classList.toggle("main", missing() === "");
  };
  render();
  const moved = setInterval(() => {
    if (!bar.isConnected) clearInterval(moved);
    else if (player.length) bar.style.width = `${(100 * player.position) / player.length}%`;
  }, 100);
  keys = (event) => {
    if (!shortcuts.checked || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && !["BUTTON", "LABEL"].includes(event.target.tagName) && !["checkbox", "radio"].includes(event.target.type)) {
      event.preventDefault();
      player.toggle();
    }
    const code = event.key === "0" ? screen.reference : screen.versions[Number(event.key) - 1];
    if (/^[0-9]$/.test(event.key) && code) player.play(code).catch(broken);
  };
}

function questions() {
  const problem = el("p", { class: "problem", role: "alert" });
  const remarks = el("textarea", { id: "remarks", maxlength: 2000 });
  let device = "";
  const send = async () => {
    if (!device) { problem.textContent = "Say what you listened with."; return; }
    try {
      session = await transport.finish({ device, remarks: remarks.value });
      done();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem.textContent = `${error.message} Try again in a moment.`;
    }
  };
  show(
    "Two last questions",
    el("h2", {}, "What did you listen with?"),
    options("What did you listen with?", "device", [["headphones", "Headphones"], ["loudspeakers", "Loudspeakers"], ["built-in", "A phone’s or laptop’s own loudspeaker"]], "", (value) => { device = value; }),
    el("h2", {}, el("label", { for: "remarks" }, "Is there anything we should know?")),
    remarks,
    problem,
    el("p", {}, el("button", { class: "main", onclick: send }, "Finish")),
  );
}

function done() {
  show(
    "Thank you",
    el("p", { class: "lead" }, session.file ? "You have heard everything. Save your ratings and send the file back to whoever invited you." : "You have heard everything, and your ratings are stored. You may close this page."),
    session.file ? el("p", {}, el("a", { href: session.file.url, download: session.file.name }, `Save ${session.file.name}`)) : null,
    session.completion ? el("p", {}, "Your completion code: ", el("span", { class: "code" }, session.completion)) : null,
  );
  document.getElementById("progress").value = 1;
}

document.addEventListener("keydown", (event) => {
  if (event.target.tagName !== "TEXTAREA" && event.target.type !== "number") keys(event);
});

(async () => {
  try {
    test = await transport.test();
    session = test.session ?? null;
    if (session?.begun) next(true);
    else consent();
  } catch (problem) {
    failed(problem);
  }
})();
