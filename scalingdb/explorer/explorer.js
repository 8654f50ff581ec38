// The page's side of the explorer: choices, the brush and the keyboard. What is drawn and said comes from Python.

const REACH = 12; // pixels within which a click takes a point

const FIELDS = [
  ["source", "Source"],
  ["family", "Family"],
  ["law", "Law"],
  ["objective", "Objective"],
  ["axis", "Along"],
];

const NAMES = {
  compute: "compute 6ND",
  n_tokens: "tokens D",
  n_params: "parameters N",
  n_params_non_embedding: "parameters N",
};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function render({ model, el }) {
  let asked = 0;
  let shownCode = "";
  let cursor = -1; // point under the keyboard
  const ask = (message) => {
    model.send({ id: ++asked, ...message });
    if (message.do === "set") root.dataset.busy = "";
  };

  // ---- the parts of the page ------------------------------------------------------------------
  const selects = {};
  const bar = element("div", { class: "sdbx-bar" });
  for (const [name, label] of FIELDS) {
    const select = element("select");
    select.addEventListener("change", () => ask({ do: "set", name, value: select.value }));
    selects[name] = { select, box: element("label", {}, element("span", {}, label), select) };
    bar.append(selects[name].box);
  }
  const budget = element("input", { type: "text", inputmode: "decimal", size: "7" });
  const budgetBox = element("label", {}, element("span", {}, "Budget, FLOP"), budget);
  budget.addEventListener("change", () => ask({ do: "set", name: "budget", value: budget.value }));
  bar.append(budgetBox);

  const head = element("p", { class: "head" });
  const picture = element("div", { class: "sdbx-picture" });
  const brush = element("div", { class: "sdbx-brush", hidden: "" });
  const ring = element("div", { class: "sdbx-ring", hidden: "" });
  const tip = element("div", { class: "sdbx-tip", hidden: "" });
  const canvas = element(
    "div",
    {
      class: "sdbx-canvas",
      tabindex: "0",
      role: "application",
      "aria-label":
        "Charts. Arrow keys go from point to point, space leaves a point out or puts it back. With a mouse, draw a box.",
    },
    picture,
    brush,
    ring,
    tip,
  );
  const button = (text, action) => {
    const made = element("button", { type: "button" }, text);
    made.addEventListener("click", action);
    return made;
  };
  const undo = button("Undo", () => ask({ do: "undo" }));
  const all = button("Put all back", () => ask({ do: "all" }));
  const hint = element(
    "span",
    { class: "quiet" },
    "Click a point, or draw a box around several, to leave them out; again to put them back.",
  );
  const tools = element("div", { class: "sdbx-tools" }, undo, all, hint);
  const side = element("div", { class: "sdbx-side" });
  const below = element("div", { class: "sdbx-below" });
  const status = element("p", { class: "sdbx-status", role: "status", "aria-live": "polite" });
  const note = element("p", { class: "sdbx-note", role: "alert" });
  const root = element(
    "div",
    { class: "sdbx sdbx-live" },
    bar,
    note,
    head,
    element("div", { class: "sdbx-main" }, element("div", { class: "sdbx-plots" }, canvas, tools, below), side),
    status,
  );
  el.append(root);

  // the state in the notebook's file is for exports: not beside the live one
  const name = String(model.get("name") || "");
  const hider = element("style", {}, `.sdbx-saved-${name}{display:none}`);
  document.head.append(hider);

  // ---- from Python ----------------------------------------------------------------------------
  function fill(select, values, chosen) {
    if (select.dataset.values !== values.join("\n")) {
      select.dataset.values = values.join("\n");
      select.replaceChildren(...values.map((value) => element("option", { value }, NAMES[value] || value)));
    }
    select.value = chosen;
  }

  function showMenu() {
    const menu = model.get("menu");
    const lists = {
      source: menu.sources,
      family: menu.families,
      law: menu.laws,
      objective: menu.objectives,
      axis: menu.axes,
    };
    for (const [field, values] of Object.entries(lists)) {
      fill(selects[field].select, values, menu.chosen[field]);
      selects[field].box.hidden = values.length === 0;
    }
    selects.axis.box.hidden = menu.axes.length < 2;
    budgetBox.hidden = !menu.surface;
    budget.value = menu.chosen.budget;
  }

  // for the eye where it stands nowhere else, for the ear in any case
  function tell(text, isShownElsewhere = false) {
    status.textContent = text;
    status.classList.toggle("heard", isShownElsewhere);
  }

  function showView() {
    const view = model.get("view");
    const open = side.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    head.textContent = view.head;
    picture.innerHTML = view.svg;
    side.innerHTML = view.side;
    if (shownCode !== view.below) below.innerHTML = shownCode = view.below;
    if (open !== null && !side.contains(document.activeElement)) {
      // the button that was pressed is gone: stay in the list
      const next = [...side.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === open);
      (next || side.querySelector("ul.rows button") || canvas).focus({ preventScroll: true });
    }
    note.textContent = view.note;
    undo.disabled = view.undo === 0;
    all.disabled = view.out.length === 0;
    if (view.stage === "done" || view.stage === "fault") tell(view.change, true);
    if (view.id >= asked) delete root.dataset.busy;
    root.dataset.stage = view.stage;
    root.dataset.answers = view.id;
    if (document.activeElement === canvas) point(cursor, false);
    else ring.hidden = true;
  }

  // ---- points ---------------------------------------------------------------------------------
  const scale = () => {
    const svg = picture.querySelector("svg");
    return svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  };

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function nearest([x, y]) {
    const view = model.get("view");
    const k = scale();
    let best = -1;
    let least = REACH * REACH;
    for (let i = 0; i < view.x.length; i++) {
      for (const other of [view.y[i], view.residual[i]]) {
        const distance = (view.x[i] * k - x) ** 2 + (other * k - y) ** 2;
        if (distance < least) [best, least] = [i, distance];
      }
    }
    return best;
  }

  function inside([x0, y0], [x1, y1]) {
    const view = model.get("view");
    const k = scale();
    const within = (value, a, b) => value * k >= Math.min(a, b) && value * k <= Math.max(a, b);
    const found = [];
    for (let i = 0; i < view.x.length; i++) {
      if (within(view.x[i], x0, x1) && (within(view.y[i], y0, y1) || within(view.residual[i], y0, y1))) found.push(i);
    }
    return found;
  }

  function turn(rows) {
    if (!rows.length) return;
    const gone = new Set(model.get("view").out);
    // a box that holds a point that counts leaves all of its points out; else it puts them back
    ask({ do: "rows", rows, out: rows.some((row) => !gone.has(row)) });
  }

  function say(i) {
    const view = model.get("view");
    const menu = model.get("menu");
    const state = view.out.includes(i) ? ", left out" : "";
    return `${menu.labels[i]}: ${menu.details[i]}${state}`;
  }

  function point(i, announce = true) {
    const view = model.get("view");
    ring.hidden = i < 0 || i >= view.x.length;
    if (ring.hidden) return;
    const k = scale();
    ring.style.transform = `translate(${view.x[i] * k}px, ${view.y[i] * k}px)`;
    if (announce) tell(say(i));
  }

  function showTip(i) {
    tip.hidden = i < 0;
    if (i < 0) return;
    const view = model.get("view");
    const k = scale();
    tip.textContent = say(i);
    const right = view.x[i] * k > canvas.clientWidth / 2;
    tip.style.left = right ? "" : `${view.x[i] * k + 12}px`;
    tip.style.right = right ? `${canvas.clientWidth - view.x[i] * k + 12}px` : "";
    tip.style.top = `${view.y[i] * k + 10}px`;
  }

  // ---- mouse, pen, finger ---------------------------------------------------------------------
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = place(event);
    canvas.setPointerCapture(event.pointerId);
    showTip(-1);
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = place(event);
    if (!from) {
      if (event.pointerType !== "touch") showTip(nearest(to));
      return;
    }
    brush.hidden = Math.hypot(to[0] - from[0], to[1] - from[1]) < 5;
    brush.style.left = `${Math.min(from[0], to[0])}px`;
    brush.style.top = `${Math.min(from[1], to[1])}px`;
    brush.style.width = `${Math.abs(from[0] - to[0])}px`;
    brush.style.height = `${Math.abs(from[1] - to[1])}px`;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = place(event);
    const isClick = brush.hidden;
    const rows = isClick ? [nearest(to)].filter((i) => i >= 0) : inside(from, to);
    from = null;
    brush.hidden = true;
    turn(rows);
  });
  canvas.addEventListener("pointercancel", () => {
    from = null;
    brush.hidden = true;
  });
  canvas.addEventListener("pointerleave", () => showTip(-1));

  // ---- keyboard -------------------------------------------------------------------------------
  const order = () => {
    const { x } = model.get("view");
    return x.map((_, i) => i).sort((a, b) => x[a] - x[b] || a - b);
  };
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const sorted = order();
    if (step !== undefined) {
      const at = sorted.indexOf(cursor);
      cursor = sorted[at < 0 ? (step > 0 ? 0 : sorted.length - 1) : (at + step + sorted.length) % sorted.length];
      point(cursor);
    } else if (event.key === "Home" || event.key === "End") {
      cursor = sorted[event.key === "Home" ? 0 : sorted.length - 1];
      point(cursor);
    } else if ((event.key === " " || event.key === "Enter") && cursor >= 0) {
      turn([cursor]);
    } else if (event.key === "Escape") {
      from = null;
      brush.hidden = true;
      return;
    } else {
      return;
    }
    // the notebook has keys of its own
    event.preventDefault();
    event.stopPropagation();
  });
  canvas.addEventListener("blur", () => {
    ring.hidden = true;
  });
  for (const kind of ["keydown", "keyup", "keypress"]) {
    bar.addEventListener(kind, (event) => event.stopPropagation());
  }

  // ---- buttons of the text --------------------------------------------------------------------
  root.addEventListener("click", async (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    if (pressed.dataset.row !== undefined) turn([Number(pressed.dataset.row)]);
    if (pressed.dataset.do === "copy") {
      const { code } = model.get("view");
      try {
        await navigator.clipboard.writeText(code);
      } catch {
        const pre = below.querySelector("pre");
        getSelection().selectAllChildren(pre);
        document.execCommand("copy");
      }
      tell("The code is copied.");
      pressed.textContent = "Copied";
      setTimeout(() => (pressed.textContent = "Copy code"), 1500);
    }
  });

  // ---- width ----------------------------------------------------------------------------------
  let timer = 0;
  const observer = new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const width = Math.round(canvas.clientWidth);
      if (width > 200 && Math.abs(width - model.get("width")) > 4) {
        model.set("width", width);
        model.save_changes();
      }
    }, 120);
  });
  observer.observe(canvas);

  showMenu();
  showView();
  // which sources a law fits takes longer to find than a fit: not before the first picture is there
  if (!model.get("menu").complete) setTimeout(() => ask({ do: "sources" }), 300);
  model.on("change:menu", showMenu);
  model.on("change:view", showView);
  return () => {
    observer.disconnect();
    hider.remove();
    model.off("change:menu", showMenu);
    model.off("change:view", showView);
  };
}

export default { render };
