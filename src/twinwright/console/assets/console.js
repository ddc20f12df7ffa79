// Times in the browser's zone with UTC on hover, ages that keep counting, and the tooltip of the charts. Loads nothing.
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const figures = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });

  const utc = (date) => date.toISOString().replace("T", " ").replace(/\.?0*Z$/, "") + " UTC";
  const shown = (date) => (date.toDateString() === new Date().toDateString() ? today : local).format(date);

  function age(date) {
    const seconds = Math.max(0, (Date.now() - date) / 1000);
    if (seconds < 2) return "now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * size) return `${Math.round(seconds / size)}\u00a0${unit} ago`;
    }
    return `${Math.round(seconds)}\u00a0s ago`;
  }

  function write(element) {
    const date = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) return;
    const text = element.dataset.ago ? age(date) : shown(date);
    const title = element.dataset.ago ? `${shown(date)}, ${utc(date)}` : utc(date);
    if (element.textContent !== text) element.textContent = text;
    if (element.title !== title) element.title = title;
  }

  let found = false;
  function showWhere() { // the page that is open, where the row of pages is too narrow for all
    const here = found ? null : document.querySelector(".tw-nav a[aria-current]");
    if (!here) return;
    found = true;
    here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 24;
  }

  const writeAll = () => document.querySelectorAll("time[datetime]").forEach(write);

  const escaped = (text) => {
    const place = document.createElement("span");
    place.textContent = text;
    return place.innerHTML;
  };

  function tooltip(items) {
    if (!items.length) return "";
    const date = new Date(items[0].value[0]);
    const rows = items.map((item) => {
      const [name, unit] = item.seriesName.split("\u001f");
      const value = item.value[1] === null ? "–" : figures.format(item.value[1]);
      return `<div class="tw-tip"><span>${escaped(name)}</span><b>${escaped(value)}\u00a0${escaped(unit)}</b></div>`;
    });
    return `${rows.join("")}<div class="tw-tip-time">${escaped(shown(date))}<br>${escaped(utc(date))}</div>`;
  }

  window.twinwright = { tooltip };
  new MutationObserver(() => { showWhere(); writeAll(); }).observe(document.documentElement, { childList: true, subtree: true, characterData: true, attributeFilter: ["datetime"] });
  setInterval(writeAll, 1000);
  showWhere();
  writeAll();
})();
