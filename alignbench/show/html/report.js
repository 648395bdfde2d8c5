"use strict";
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  const SVG = "http://www.w3.org/2000/svg";

  /* Tables can be sorted by a column; sorting dissolves the groups of rows. */
  function valueOf(cell) {
    const raw = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
    const number = Number(raw.replace(/,/g, "").replace(/^</, ""));
    return raw !== "" && !Number.isNaN(number) ? number : raw;
  }
  function compare(a, b) {
    const numbers = [typeof a === "number", typeof b === "number"];
    if (numbers[0] && numbers[1]) return a - b;
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  }
  function sortBy(table, head) {
    const column = head.cellIndex;
    const number = head.classList.contains("num");
    const was = head.getAttribute("aria-sort");
    const down = was ? was === "ascending" : number && head.textContent.trim() !== "place";
    all("[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = all("tbody tr", table).map((row) => [valueOf(row.cells[column]), row]);
    const missing = (value) => number && typeof value !== "number";
    rows.sort((a, b) => {
      if (missing(a[0]) || missing(b[0])) return missing(a[0]) - missing(b[0]);
      return (down ? -1 : 1) * compare(a[0], b[0]);
    });
    const [body, ...others] = table.tBodies;
    rows.forEach(([, row]) => body.append(row));
    others.forEach((other) => other.remove());
  }
  all("table.sortable").forEach((table) => {
    all("thead th", table).forEach((head) => {
      if (head.dataset.fixed !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, head));
      head.append(button);
    });
  });

  /* Each form filters the tables of its own section. */
  all("form.filters[data-for]").forEach((form) => {
    const section = document.getElementById(form.dataset.for);
    const rows = all("tbody tr[data-llm]", section);
    const found = rows.map((row) => row.textContent.toLowerCase());
    function apply() {
      const field = (name) => (form.elements[name] ? form.elements[name].value : "");
      const [llm, type] = [field("llm"), field("type")];
      const words = field("text").toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = (!llm || row.dataset.llm === llm) && (!type || row.dataset.type === type) &&
          words.every((word) => found[i].includes(word));
        row.hidden = !fits;
        shown += fits;
      });
      const active = Boolean(llm || type || words.length);
      form.querySelector("output").textContent = active ? `${shown} of ${rows.length} rows` : "";
      all("table", section).forEach((one) => {
        one.closest(".scroll").hidden = active && !one.querySelector("tbody tr:not([hidden])");
      });
      all("details.experiment", section).forEach((one) => {
        const left = all("tbody tr:not([hidden])", one).length;
        one.hidden = active && !left;
        if (words.length && left) one.open = true;
      });
    }
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
  });

  /* A link to a folded figure unfolds it, and printing unfolds all. */
  function unfold() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details");
    if (!folded || folded.open) return;
    folded.open = true;
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);
  window.addEventListener("beforeprint", () => all("details.more").forEach((one) => { one.open = true; }));
  unfold();

  /* Commands can be copied. */
  all(".window pre, #how > pre").forEach((block) => {
    if (!navigator.clipboard) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(block.textContent).then(
        () => { button.textContent = "Copied"; },
        () => { button.textContent = "Select it and copy by hand"; }
      );
    });
    block.after(button);
  });

  /* A compressed download is decompressed if the browser can do so. */
  all('.files a[download$=".gz"]').forEach((link) => {
    if (typeof DecompressionStream === "undefined") return;
    const name = link.download.replace(/\.gz$/, "");
    link.textContent = name;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const packed = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      new Response(stream).blob().then((blob) => {
        const target = document.createElement("a");
        target.href = URL.createObjectURL(blob);
        target.download = name;
        target.click();
        setTimeout(() => URL.revokeObjectURL(target.href), 1000);
      });
    });
  });

  /* Embedding spaces: one sample is marked in all of them. */
  const source = document.getElementById("space-data");
  if (source) drawSpaces(JSON.parse(source.textContent), document.getElementById("space-view"));

  function make(name, attributes) {
    const element = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return element;
  }
  function shape(marker, x, y, r) {
    const k = r * 1.15;
    const path = {
      s: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
      "^": `M${x} ${y - k}L${x + k} ${y + r}H${x - k}z`,
      D: `M${x} ${y - 1.2 * k}L${x + 1.2 * k} ${y}L${x} ${y + 1.2 * k}L${x - 1.2 * k} ${y}z`,
      v: `M${x} ${y + k}L${x + k} ${y - r}H${x - k}z`,
    }[marker];
    return path ? make("path", { d: path }) : make("circle", { cx: x, cy: y, r });
  }
  function drawSpaces(data, view) {
    const form = view.querySelector("form");
    const panels = view.querySelector(".panels");
    const card = view.querySelector(".sample");
    const looks = Object.fromEntries(data.types.map((type) => [type.name, type]));
    let marks = new Map();
    let pinned = "";

    const list = form.elements.sample;
    const order = data.samples.map((_, i) => i);
    order.sort((a, b) => data.samples[a].id.localeCompare(data.samples[b].id, undefined, { numeric: true }));
    order.forEach((i) => list.add(new Option(data.samples[i].id, String(i))));
    data.types.forEach((type) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.dataset.type = type.name;
      const key = make("svg", { viewBox: "-10 -10 20 20", "aria-hidden": "true" });
      const mark = shape(type.marker, 0, 0, 8);
      mark.setAttribute("fill", type.colour);
      key.append(mark);
      label.append(box, key, type.name);
      view.querySelector(".types").append(label);
    });

    function show(index) {
      all(".mark.on", panels).forEach((mark) => mark.classList.remove("on"));
      card.textContent = "";
      if (index === "") {
        const note = document.createElement("p");
        note.className = "note";
        note.textContent = "Point at a sample.";
        card.append(note);
        return;
      }
      (marks.get(index) || []).forEach((mark) => {
        mark.classList.add("on");
        mark.parentNode.append(mark);
      });
      const sample = data.samples[index];
      if (sample.picture) {
        const image = new Image();
        image.src = sample.picture;
        image.alt = "";
        card.append(image);
      }
      [["b", sample.id], ["small", sample.type], ["span", sample.text]].forEach(([tag, text]) => {
        if (!text) return;
        const line = document.createElement("p");
        const inner = document.createElement(tag);
        inner.textContent = text;
        line.append(inner);
        card.append(line);
      });
    }
    function draw() {
      panels.textContent = "";
      marks = new Map();
      const hidden = new Set(all("input[data-type]", form).filter((b) => !b.checked).map((b) => b.dataset.type));
      data.panels.filter((panel) => panel.method === form.elements.method.value).forEach((panel) => {
        const figure = document.createElement("figure");
        figure.className = "panel";
        const picture = make("svg", { viewBox: "-50 -50 1100 1100", role: "img" });
        picture.setAttribute("aria-label", `${panel.samples.length} samples in the space of ${panel.model}`);
        const radius = Math.max(7, Math.min(19, 190 / Math.sqrt(panel.samples.length)));
        panel.samples.forEach((index, i) => {
          const look = looks[data.samples[index].type];
          const mark = shape(look.marker, panel.points[i][0], panel.points[i][1], radius);
          mark.setAttribute("fill", look.colour);
          mark.classList.add("mark");
          mark.classList.toggle("off", hidden.has(look.name));
          mark.dataset.i = index;
          const key = String(index);
          marks.set(key, [...(marks.get(key) || []), mark]);
          picture.append(mark);
        });
        const caption = document.createElement("figcaption");
        const name = document.createElement("b");
        name.textContent = panel.model;
        const note = document.createElement("small");
        note.textContent = panel.note;
        caption.append(name, note);
        figure.append(picture, caption);
        panels.append(figure);
      });
      show(pinned);
    }
    panels.addEventListener("pointerover", (event) => {
      const index = event.target.dataset ? event.target.dataset.i : undefined;
      if (index !== undefined) show(index);
    });
    panels.addEventListener("pointerleave", () => show(pinned));
    panels.addEventListener("click", (event) => {
      const index = event.target.dataset ? event.target.dataset.i : undefined;
      pinned = index === undefined || index === pinned ? "" : index;
      list.value = pinned;
      show(pinned);
    });
    list.addEventListener("change", () => { pinned = list.value; show(pinned); });
    form.elements.method.addEventListener("change", draw);
    view.querySelector(".types").addEventListener("change", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
    draw();
  }
})();
