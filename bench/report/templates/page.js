// Filter, search, sort and open state, kept in the fragment: #verdict=contradicted&sort=difference&open=H3,H14
"use strict";
const claims = [...document.querySelectorAll("tbody.claim")];
const tiles = [...document.querySelectorAll(".tile")];
const state = { verdict: "", sort: "claim", find: "", open: new Set() };
const made = (tag, given, where) => { const it = Object.assign(document.createElement(tag), given); where.append(it); return it; };
const box = (claim) => claim.querySelector("details");
const key = { claim: (c) => +c.dataset.order, verdict: (c) => +c.dataset.rank, difference: (c) => -c.dataset.far };

const rests = [...document.querySelectorAll("script.rest")].map((data) => {
  const home = data.closest(".others"), more = made("button", { type: "button" }, home);
  const rest = { rows: JSON.parse(data.textContent), body: home.querySelector("tbody"), told: home.querySelector(".told"), more, most: 100 };
  rest.rows.forEach((row) => row.push(row.join(" ").toLowerCase()));
  more.onclick = () => { rest.most += 400; draw(rest); };
  return rest;
});

function draw(rest) {
  const find = state.find.trim().toLowerCase();
  rest.found = rest.rows.filter((row) => (!state.verdict || row[6] === state.verdict) && row[9].includes(find));
  const lines = rest.found.slice(0, rest.most).map(([anchor, claim, says, published, measured, difference, word, where, reason]) => {
    const line = Object.assign(document.createElement("tr"), { id: anchor, title: reason });
    made("td", { className: "id", textContent: claim }, line);
    made("span", { className: "where", textContent: where }, made("td", { className: "says", textContent: says }, line));
    for (const number of [published, measured, difference]) made("td", { className: "num", textContent: number }, line);
    made("td", { textContent: word }, line);
    return line;
  });
  rest.body.replaceChildren(...lines);
  const left = rest.found.length - lines.length;
  rest.told.textContent = `${lines.length} of ${rest.found.length} others${state.verdict || find ? " that match" : ""}:`;
  rest.more.hidden = left <= 0;
  rest.more.textContent = `Show ${Math.min(400, left)} more`;
}

function read() {
  const text = location.hash.slice(1);
  const plain = claims.some((claim) => claim.id === text);
  const other = !plain && rests.some((rest) => rest.rows.some((row) => row[0] === text));
  if (other) { state.find = text; state.verdict = ""; show(); document.getElementById(text)?.scrollIntoView(); return; }
  const asked = new URLSearchParams(plain ? "" : text);
  if (text && !plain && !["verdict", "sort", "find", "open"].some((name) => asked.has(name))) return;
  const wanted = (asked.get("verdict") || "").replaceAll("-", " ");
  if (!plain) {
    state.verdict = tiles.some((tile) => tile.dataset.verdict === wanted) ? wanted : "";
    state.find = asked.get("find") || "";
    state.sort = asked.get("sort") in key ? asked.get("sort") : "claim";
    state.open = new Set((asked.get("open") || "").split(",").filter(Boolean));
  } else {
    state.open.add(text);
    if (document.getElementById(text).dataset.verdict !== state.verdict) state.verdict = "";
  }
  show();
  if (plain) document.getElementById(text).scrollIntoView();
}

function write() {
  const parts = [];
  if (state.verdict) parts.push("verdict=" + state.verdict.replaceAll(" ", "-"));
  if (state.sort !== "claim") parts.push("sort=" + state.sort);
  if (state.find) parts.push("find=" + encodeURIComponent(state.find));
  if (state.open.size) parts.push("open=" + [...state.open].join(","));
  history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
}

function show() {
  for (const claim of claims) {
    const named = claim.textContent.toLowerCase().includes(state.find.trim().toLowerCase());
    claim.hidden = (state.verdict && claim.dataset.verdict !== state.verdict) || !named;
    box(claim).open = state.open.has(claim.id);
  }
  rests.forEach(draw);
  for (const tile of tiles) tile.setAttribute("aria-pressed", String(tile.dataset.verdict === state.verdict));
  for (const table of document.querySelectorAll("table.claims")) {
    const own = [...table.tBodies].sort((a, b) => key[state.sort](a) - key[state.sort](b) || a.dataset.order - b.dataset.order);
    table.append(...own);
    for (const head of table.querySelectorAll("[data-sort]")) {
      const order = head.dataset.sort === "difference" ? "descending" : "ascending";
      head.setAttribute("aria-sort", head.dataset.sort === state.sort ? order : "none");
    }
    const line = table.closest("section").querySelector(".shown");
    const told = state.verdict + (state.find ? ` with “${state.find}”` : "");
    const count = `${own.filter((claim) => !claim.hidden).length} of ${own.length} claim${own.length === 1 ? "" : "s"}`;
    line.hidden = false;
    line.querySelector("span").textContent = told ? `${count}: ${told.trim()}.` : `${own.length} claim${own.length === 1 ? "" : "s"}`;
    line.querySelector("button").hidden = !told;
    line.querySelector("input").value = state.find;
  }
}

function change(edit) { edit(); show(); write(); }

for (const line of document.querySelectorAll(".shown")) {
  const box = made("input", { type: "search", placeholder: "Search the claims", ariaLabel: "Search the claims" }, line);
  box.oninput = () => change(() => { state.find = box.value; });
  made("span", { role: "status" }, line);
  const all = made("button", { type: "button", textContent: "Show all" }, line);
  all.onclick = () => change(() => { state.verdict = state.find = ""; });
}
for (const tile of tiles) {
  tile.setAttribute("role", "button");
  tile.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); tile.click(); } };
  tile.onclick = (event) => {
    event.preventDefault();
    change(() => { state.verdict = state.verdict === tile.dataset.verdict ? "" : tile.dataset.verdict; });
    if (state.verdict) document.querySelector(".claims").closest("section").scrollIntoView();
  };
}
for (const head of document.querySelectorAll("[data-sort]")) {
  const button = document.createElement("button");
  button.append(...[...head.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE));
  head.prepend(button);
  button.onclick = () => change(() => { state.sort = head.dataset.sort; });
}
for (const claim of claims) {
  box(claim).ontoggle = () => {
    if (box(claim).open === state.open.has(claim.id)) return;
    state.open[box(claim).open ? "add" : "delete"](claim.id);
    write();
  };
}
for (const line of navigator.clipboard ? document.querySelectorAll("pre.command") : []) {
  const text = line.textContent, copy = made("button", { type: "button", textContent: "Copy" }, line);
  copy.onclick = () => navigator.clipboard.writeText(text).then(() => { copy.textContent = "Copied"; });
}
document.documentElement.classList.add("scripted");
addEventListener("hashchange", read);
read();
