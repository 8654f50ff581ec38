/* Charts drawn from their data, and tables that can be searched, filtered and sorted. No request leaves the machine. */
(() => {
  "use strict";
  const here = document.currentScript.src.replace(/_static\/site\.js.*$/, "");
  const specs = {};
  const waiting = {};

  const script = (address) =>
    new Promise((done, fail) => {
      const tag = document.createElement("script");
      tag.src = address;
      tag.onload = done;
      tag.onerror = fail;
      document.head.append(tag);
    });

  window.scalingdbChart = (name, spec) => {
    specs[name] = spec;
  };

  let runtime = null;
  const loadRuntime = () =>
    (runtime ??= Promise.all([script(`${here}charts/vega.js`), script(`${here}charts/colors.js`)]));
  const load = (name) => (waiting[name] ??= script(`${here}charts/${name}.js`).then(() => specs[name]));

  const isDark = () => document.documentElement.dataset.theme === "dark";

  /* every colour of ours has one that takes its place in the dark */
  const recolored = (value, colors) => {
    if (typeof value === "string") return colors[value] ?? value;
    if (Array.isArray(value)) return value.map((item) => recolored(item, colors));
    if (value && typeof value === "object")
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, key === "datasets" ? item : recolored(item, colors)]),
      );
    return value;
  };

  /* lines that were broken for the wide picture are put together first: a line that ends a sentence ends it here too */
  const sentences = (text) =>
    [text].flat().reduce((done, line) => {
      if (done.length && !/[.!?]$/.test(done.at(-1))) done[done.length - 1] += ` ${line}`;
      else done.push(String(line));
      return done;
    }, []);

  const lines = (text, most) =>
    sentences(text).flatMap((line) =>
      String(line)
        .split(" ")
        .reduce((done, word) => {
          const last = done.at(-1);
          if (last !== undefined && `${last} ${word}`.length <= most) done[done.length - 1] = `${last} ${word}`;
          else done.push(word);
          return done;
        }, []),
    );

  /* a title is as wide as the page, not wider */
  const wrapped = (title, room) => {
    const whole = typeof title === "string" || Array.isArray(title) ? { text: title } : { ...title };
    if (typeof whole.text === "string" || Array.isArray(whole.text)) whole.text = lines(whole.text, room / 8);
    if (whole.subtitle) whole.subtitle = lines(whole.subtitle, room / 6.5);
    return whole;
  };

  /* room for names of rows beside a narrow chart, and for numbers */
  const LABEL = 150;
  const marginOf = (spec) =>
    /"y":\{"axis":\{[^}]*"labelLimit"/.test(JSON.stringify({ ...spec, datasets: undefined })) ? LABEL + 30 : 110;

  /* panels side by side go below each other where the page is narrow */
  const stacked = (spec, room, margin) => {
    if (!spec || typeof spec !== "object" || room > 640) return spec;
    const view = { ...spec };
    if (view.hconcat) {
      view.vconcat = view.hconcat;
      delete view.hconcat;
    }
    for (const key of ["vconcat", "concat", "layer"])
      if (view[key]) view[key] = view[key].map((item) => stacked(item, room, margin));
    if (view.spec) view.spec = stacked(view.spec, room, margin);
    if (view.columns > 1) view.columns = 1;
    if (view.facet?.column && !view.facet.row) {
      view.facet = view.facet.column;
      view.columns = 1;
    }
    if (view.title) view.title = wrapped(view.title, room);
    if (typeof view.width === "number") view.width = Math.min(view.width, Math.max(room - margin, 160));
    return view;
  };

  const legendBelow = (spec, room) => {
    if (room > 640) return spec;
    const config = spec.config ?? {};
    const moved = JSON.parse(JSON.stringify({ ...spec, datasets: undefined }), (key, value) => {
      if (key === "legend" && value && typeof value === "object" && !value.disable)
        return { ...value, orient: "bottom", columns: 2, labelLimit: room - 60 };
      if (key === "labelLimit" && typeof value === "number") return Math.min(value, LABEL);
      return value;
    });
    return { ...moved, datasets: spec.datasets, config: { ...config, legend: { ...config.legend, orient: "bottom", columns: 2 } } };
  };

  const draw = async (view) => {
    const name = view.dataset.chart;
    try {
      const [spec] = await Promise.all([load(name), loadRuntime()]);
      const room = view.clientWidth;
      let shown = legendBelow(stacked(spec, room, marginOf(spec)), room);
      if (isDark()) shown = recolored(shown, window.scalingdbDark);
      shown.background = "transparent";
      shown.config = { ...shown.config, background: "transparent", aria: false };
      if (room < 640) shown.autosize ??= { type: "pad", contains: "padding" };
      const many = Object.values(spec.datasets ?? {}).reduce((sum, rows) => sum + rows.length, 0) > 3000;
      const target = document.createElement("div");
      target.setAttribute("aria-hidden", "true");
      const result = await window.vegaEmbed(target, shown, { actions: false, renderer: many ? "canvas" : "svg", tooltip: { theme: isDark() ? "dark" : "light" } });
      view.scalingdbResult?.finalize();
      view.scalingdbResult = result;
      view.replaceChildren(target);
      reach(view);
    } catch (error) {
      console.warn(`chart ${name} stays a picture: ${error}`);
    }
  };

  /* what scrolls must be reachable by keyboard */
  const reach = (box) => {
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      if (!box.hasAttribute("role")) box.setAttribute("role", "region");
      if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", "scrollable content");
    }
  };

  const csv = (spec) => {
    const parts = Object.values(spec.datasets ?? {}).map((rows) => {
      const names = [...new Set(rows.flatMap(Object.keys))];
      const cell = (value) => {
        const text = value === null || value === undefined ? "" : String(value);
        return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      };
      return [names.map(cell).join(","), ...rows.map((row) => names.map((name) => cell(row[name])).join(","))].join("\n");
    });
    return `${parts.join("\n\n")}\n`;
  };

  const charts = () => {
    const views = document.querySelectorAll(".sdb-view[data-chart]");
    const seen = new IntersectionObserver(
      (entries) => {
        for (const entry of entries)
          if (entry.isIntersecting) {
            seen.unobserve(entry.target);
            entry.target.classList.add("seen");
            draw(entry.target);
          }
      },
      { rootMargin: "300px" },
    );
    views.forEach((view) => seen.observe(view));
    const redraw = () => views.forEach((view) => view.classList.contains("seen") && draw(view));
    let dark = isDark();
    new MutationObserver(() => {
      if (dark !== isDark()) {
        dark = isDark();
        redraw();
      }
    }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      clearTimeout(charts.timer);
      charts.timer = setTimeout(() => {
        if (width <= 760 !== window.innerWidth <= 760) redraw();
        width = window.innerWidth;
      }, 250);
    });
    document.querySelectorAll("button.sdb-data").forEach((button) => {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([csv(await load(button.dataset.chart))], { type: "text/csv" }));
        link.download = `${button.dataset.chart}.csv`;
        link.click();
        URL.revokeObjectURL(link.href);
      });
    });
  };

  /* rows of a long table that are shown until all are asked for */
  const MOST = 100;

  const tables = () => {
    document.querySelectorAll("table.sdb-search").forEach((table) => {
      let rows = [...table.tBodies[0].rows];
      const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      let most = rows.length > 2 * MOST ? MOST : Infinity;
      const bar = document.createElement("div");
      bar.className = "sdb-filters";
      const search = document.createElement("input");
      search.type = "search";
      search.placeholder = "Search this table";
      search.setAttribute("aria-label", "Search this table");
      bar.append(search);
      const chosen = [];
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        if (head.dataset.filter !== undefined) {
          const select = document.createElement("select");
          const name = head.textContent.trim();
          select.setAttribute("aria-label", `Only rows with this ${name}`);
          const values = new Set();
          rows.forEach((row) => row.cells[column].textContent.split(";").forEach((part) => values.add(part.trim())));
          select.append(new Option(`any ${name.toLowerCase()}`, ""));
          [...values].filter(Boolean).sort().forEach((value) => select.append(new Option(value, value)));
          chosen.push([column, select]);
          bar.append(select);
        }
        if (head.dataset.sort === "off") return;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "sdb-sort";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const up = head.getAttribute("aria-sort") !== "ascending";
          [...table.tHead.rows[0].cells].forEach((cell) => cell.removeAttribute("aria-sort"));
          head.setAttribute("aria-sort", up ? "ascending" : "descending");
          const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
          const order = [...rows].sort((a, b) => {
            const [x, y] = [key(a), key(b)];
            if (x === "" || y === "") return (x === "") - (y === "");
            const [m, n] = [Number(x.replaceAll(",", "")), Number(y.replaceAll(",", ""))];
            const sign = Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y) : m - n;
            return up ? sign : -sign;
          });
          rows = order;
          table.tBodies[0].append(...rows);
          apply();
        });
      });
      const count = document.createElement("output");
      bar.append(count);
      const more = document.createElement("button");
      more.type = "button";
      more.className = "sdb-more";
      more.addEventListener("click", () => {
        most = Infinity;
        apply();
      });
      table.closest(".sdb-table").after(more);
      const apply = () => {
        const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        let left = 0;
        rows.forEach((row) => {
          const fits =
            wanted.every((word) => words.get(row).includes(word)) &&
            chosen.every(
              ([column, select]) =>
                !select.value || row.cells[column].textContent.split(";").some((part) => part.trim() === select.value),
            );
          left += fits;
          row.hidden = !fits || left > most;
        });
        const number = (value) => value.toLocaleString("en");
        count.textContent = `${number(left)} of ${number(rows.length)}`;
        more.textContent = `The first ${most} are shown; show all ${number(left)}`;
        more.hidden = left <= most;
      };
      bar.addEventListener("input", apply);
      table.closest(".sdb-table").before(bar);
      apply();
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    charts();
    tables();
    document.querySelectorAll(".sdb-table, .highlight pre, div.math, div.sdb-math, .output pre, .cell_output .html").forEach(reach);
  });
})();
