// For the console: Quasar's elements follow the page's theme, choosing a calendar opens its page, and the link to the
// current page is in view on phones, where the navigation is one line.
(() => {
  const root = document.documentElement;
  const paint = () => window.Quasar?.Dark?.set(root.dataset.theme === "dark");
  new MutationObserver(paint).observe(root, { attributeFilter: ["data-theme"] });
  const ready = setInterval(() => {
    if (!window.Quasar?.Dark || !window.did_handshake) return;
    clearInterval(ready);
    paint();
    const nav = document.querySelector(".console-nav nav");
    const here = nav.querySelector("[aria-current]");
    nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  }, 30);
  addEventListener("change", (event) => {
    if (event.target.matches(".console-expert select")) location.href = event.target.value;
  });
})();
