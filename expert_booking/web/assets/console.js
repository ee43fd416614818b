// For the console: Quasar's elements follow the page's theme, and choosing a calendar opens its page.
(() => {
  const root = document.documentElement;
  const paint = () => window.Quasar?.Dark?.set(root.dataset.theme === "dark");
  new MutationObserver(paint).observe(root, { attributeFilter: ["data-theme"] });
  const ready = setInterval(() => {
    if (!window.Quasar?.Dark || !window.did_handshake) return;
    clearInterval(ready);
    paint();
  }, 30);
  addEventListener("change", (event) => {
    if (event.target.matches(".console-expert select")) location.href = event.target.value;
  });
})();
