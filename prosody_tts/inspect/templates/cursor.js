"use strict";
// A line through the picture at what is heard; a click into the picture plays from there.
const audio = document.querySelector("audio");
const picture = document.querySelector(".picture");
const cursor = picture.querySelector(".cursor");
const [left, right, seconds] = ["left", "right", "seconds"].map((name) => Number(picture.dataset[name]));
function follow() {
  cursor.hidden = false;
  cursor.style.left = `${100 * (left + (right - left) * Math.min(audio.currentTime / seconds, 1))}%`;
  if (!audio.paused) requestAnimationFrame(follow);
}
audio.addEventListener("play", follow);
audio.addEventListener("seeked", follow);
picture.addEventListener("click", (event) => {
  const box = picture.getBoundingClientRect();
  const share = ((event.clientX - box.left) / box.width - left) / (right - left);
  if (share < 0 || share > 1) return;
  audio.currentTime = share * seconds;
  audio.play();
});
