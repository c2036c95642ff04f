"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 100;
  const body = document.querySelector("#questions tbody");
  const more = document.getElementById("more");
  const count = document.getElementById("count");
  const search = document.getElementById("search");
  const set = document.getElementById("set");
  const change = document.getElementById("change");
  let order = { key: "delta", up: false };
  let shown = PAGE;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const named = (system) => {
    const name = data.names[data.systems.indexOf(system)];
    return name.charAt(0).toUpperCase() + name.slice(1);
  };
  const figure = (value) => value.toFixed(3);
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(3);
  const rank = (value) => (value ? String(value) : "\u2013");

  for (const question of data.questions) {
    question.delta = question.after - question.before;
    question.lower = question.text.toLowerCase();
  }
  data.sets.forEach((name, place) => {
    const option = element("option", name + " questions");
    option.value = String(place);
    set.append(option);
  });

  const value = (question, key) => {
    if (key === "text") return question.lower;
    if (key.startsWith("rank")) return question.ranks[Number(key.slice(4))] || 1e9;
    return question[key];
  };

  const chosen = () => {
    const words = search.value.toLowerCase().trim();
    const found = data.questions.filter(
      (one) =>
        (set.value === "" || one.set === Number(set.value)) &&
        (words === "" || one.lower.includes(words)) &&
        (change.value === "" ||
          (change.value === "won" && one.delta > 0) ||
          (change.value === "lost" && one.delta < 0) ||
          (change.value === "same" && one.delta === 0)),
    );
    const sign = order.up ? 1 : -1;
    return found.sort((one, other) => {
      const [a, b] = [value(one, order.key), value(other, order.key)];
      return a < b ? -sign : a > b ? sign : 0;
    });
  };

  const passages = (title, places, relevant) => {
    const part = element("div", undefined, "found");
    part.append(element("h4", title));
    const list = element("ol");
    for (const place of places) {
      const item = element("li", place < 0 ? "(left out)" : data.passages[place], relevant.has(place) ? "right" : "");
      item.dir = "auto";
      list.append(item);
    }
    if (!places.length) part.append(element("p", "Nothing.", "note"));
    part.append(list);
    return part;
  };

  const detail = (question) => {
    const row = element("tr", undefined, "detail");
    const cell = element("td");
    cell.colSpan = 4 + data.systems.length;
    const relevant = new Set(question.relevant);
    const ranks = data.names.map((name, place) => `${name} ${rank(question.ranks[place])}`);
    cell.append(element("p", "Rank of the first relevant passage: " + ranks.join(", "), "note"));
    const columns = element("div", undefined, "columns");
    columns.append(passages("Relevant", question.relevant, new Set()));
    columns.append(passages(`${named("base")} found`, question.base, relevant));
    columns.append(passages(`${named("tuned")} found`, question.tuned, relevant));
    cell.append(columns);
    row.append(cell);
    return row;
  };

  const line = (question) => {
    const row = element("tr", undefined, "question");
    const text = element("td", undefined, "text");
    const open = element("button", question.text);
    open.dir = "auto";
    open.setAttribute("aria-expanded", "false");
    text.append(open);
    row.append(text, element("td", figure(question.before)), element("td", figure(question.after)));
    row.append(element("td", signed(question.delta), question.delta > 0 ? "up" : question.delta < 0 ? "down" : ""));
    question.ranks.forEach((one) => row.append(element("td", rank(one), "rank")));
    open.addEventListener("click", () => {
      const next = row.nextElementSibling;
      const isOpen = next && next.classList.contains("detail");
      if (isOpen) next.remove();
      else row.after(detail(question));
      open.setAttribute("aria-expanded", String(!isOpen));
    });
    return row;
  };

  const draw = () => {
    const found = chosen();
    body.replaceChildren(...found.slice(0, shown).map(line));
    count.textContent = `${found.length.toLocaleString("en")} of ${data.questions.length.toLocaleString("en")} questions`;
    more.hidden = found.length <= shown;
    for (const head of document.querySelectorAll("#questions th[data-key]")) {
      const sorted = head.dataset.key === order.key;
      head.setAttribute("aria-sort", sorted ? (order.up ? "ascending" : "descending") : "none");
    }
  };

  const heads = document.querySelector("#questions thead tr");
  data.names.forEach((name, place) => {
    const head = element("th", undefined, "rank");
    head.dataset.key = "rank" + place;
    head.append(element("button", name));
    heads.append(head);
  });
  for (const head of heads.querySelectorAll("th[data-key]")) {
    head.querySelector("button").addEventListener("click", () => {
      const key = head.dataset.key;
      order = { key, up: key === order.key ? !order.up : key === "text" || key.startsWith("rank") };
      draw();
    });
  }
  for (const control of [search, set, change]) {
    control.addEventListener("input", () => {
      shown = PAGE;
      draw();
    });
  }
  more.addEventListener("click", () => {
    shown += PAGE;
    draw();
  });
  document.getElementById("explorer").hidden = false;
  draw();
})();
