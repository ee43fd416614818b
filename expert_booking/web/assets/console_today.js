// Counts down to the deadlines of requests: elements with data-until. The server's clock counts, not the visitor's.
(() => {
  const text = (seconds) => {
    const minutes = Math.floor(seconds / 60);
    if (minutes < 1) return "Less than a minute left";
    if (minutes >= 2880) return Math.floor(minutes / 1440) + " days left";
    return (minutes >= 60 ? Math.floor(minutes / 60) + " h " : "") + (minutes % 60) + " min left";
  };
  let ahead = null;
  setInterval(() => {
    const sent = document.querySelector("[data-now]");
    if (!sent) return;
    ahead ??= Date.parse(sent.dataset.now) - Date.now();
    for (const element of document.querySelectorAll("[data-until]")) {
      const seconds = (Date.parse(element.dataset.until) - Date.now() - ahead) / 1000;
      const now = text(seconds);
      if (element.textContent !== now) element.textContent = now;
      element.classList.toggle("soon", seconds < 3600);
    }
  }, 1000);
})();
