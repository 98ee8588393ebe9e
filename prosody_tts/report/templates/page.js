"use strict";
// Without this script every voice keeps the browser's own controls.
let current = null;
function stop(audio) {
  audio.pause();
  audio.currentTime = 0;
}
for (const voice of document.querySelectorAll(".voice")) {
  const audio = voice.querySelector("audio");
  const button = voice.querySelector(".play");
  const progress = voice.querySelector(".progress");
  audio.removeAttribute("controls");
  audio.hidden = true;
  button.hidden = false;
  voice.classList.remove("plain");
  const reset = () => {
    voice.classList.remove("playing");
    button.setAttribute("aria-pressed", "false");
    progress.style.width = "0";
  };
  button.addEventListener("click", () => {
    if (!audio.paused) return stop(audio);
    if (current && current !== audio) stop(current);
    current = audio;
    audio.play();
  });
  audio.addEventListener("play", () => {
    voice.classList.add("playing");
    button.setAttribute("aria-pressed", "true");
  });
  audio.addEventListener("pause", reset);
  audio.addEventListener("ended", reset);
  audio.addEventListener("timeupdate", () => {
    if (!audio.paused) progress.style.width = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
  });
}
for (const box of document.querySelectorAll(".swatch input")) {
  const show = () => {
    for (const part of box.closest(".sentence").querySelectorAll(`.series.${box.value}`)) {
      part.classList.toggle("off", !box.checked);
    }
  };
  box.addEventListener("change", show);
  show(); // browsers remember ticks across reloads
}
