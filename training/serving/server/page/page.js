// The page asks the REST interface that other callers ask, and shows what it answers.

const find = (id) => document.getElementById(id);
const say = (text) => { find("status").textContent = text; };
let models = [];  // [{name, versions: [{number, labels, signatures, resizing}]}]

// Colours of matplotlib's "inferno", which get lighter from nothing to most.
const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

function colour(value) {
  const place = value * (STOPS.length - 1), i = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[i].map((low, c) => low + (STOPS[i + 1][c] - low) * (place - i));
}

async function answered(path, request) {
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `The server answers with status ${response.status}.`);
  return body;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] || "");
    reader.onerror = () => reject(new Error("The browser cannot read this file."));
    reader.readAsDataURL(file);
  });
}

async function classified(file, model, version) {
  const signature = version.signatures.includes("grad_cam") ? "grad_cam" : "classify";
  if (!version.signatures.includes(signature)) {
    throw new Error(`Version ${version.number} of ${model} has no signature that names classes.`);
  }
  const image = { b64: await base64(file) };
  const body = JSON.stringify({ signature_name: signature, inputs: { image_bytes: [image] } });
  const path = `v1/models/${encodeURIComponent(model)}/versions/${version.number}:predict`;
  const { outputs } = await answered(path, { method: "POST", body });
  const [labels, probabilities] = [outputs.labels[0], outputs.probabilities[0]];
  return labels.map((label, i) => ({ label, probability: probabilities[i], map: outputs.maps?.[0][i] }));
}

// Draws a map over the square of the picture that the network sees.
function draw(article, map, resizing) {
  const [image, canvas] = [article.querySelector("img"), article.querySelector("canvas")];
  canvas.hidden = !map || !resizing || !image.naturalWidth;
  if (canvas.hidden) return;
  canvas.height = map.length;
  canvas.width = map[0].length;
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  map.flat().forEach((value, i) => pixels.data.set([...colour(value), 170 * Math.sqrt(value)], 4 * i));
  context.putImageData(pixels, 0, 0);
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const side = Math.min(width, height) * resizing.crop / resizing.shorter_side;
  canvas.style.width = `${100 * side / width}%`;
  canvas.style.height = `${100 * side / height}%`;
  canvas.style.left = `${50 * (1 - side / width)}%`;
  canvas.style.top = `${50 * (1 - side / height)}%`;
}

function choice(article, text, map, resizing) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio" });
  input.name = article.id;
  input.addEventListener("change", () => draw(article, map, resizing));
  const span = Object.assign(document.createElement("span"), { className: "label", textContent: text });
  label.className = "class";
  label.append(input, span);
  return label;
}

function show(article, classes, version) {
  const fieldset = article.querySelector("fieldset");
  const maps = classes.some((one) => one.map);
  fieldset.querySelector("legend").textContent = maps
    ? "Choose a class to see where in the picture it is seen (Grad-CAM)."
    : "Grad-CAM is not available for this version: export the model again, or it does not end in pooling and one dense layer.";
  const rows = classes.map(({ label, probability, map }) => {
    const row = choice(article, label, map, version.resizing);
    const percent = Object.assign(document.createElement("span"), {
      textContent: `${(100 * probability).toFixed(1)} %`,
    });
    const bar = Object.assign(document.createElement("span"), { className: "bar" });
    bar.append(document.createElement("i"));
    bar.firstChild.style.width = `${100 * probability}%`;
    row.querySelector("input").hidden = !maps;
    row.append(percent, bar);
    return row;
  });
  if (maps) {
    rows.push(choice(article, "The picture alone"));
    rows[0].querySelector("input").checked = true;
    draw(article, classes[0].map, version.resizing);
  }
  fieldset.append(...rows);
  fieldset.hidden = false;
}

function chosen() {
  const model = models.find((one) => one.name === find("model").value);
  return [model?.name, model?.versions.find((one) => String(one.number) === find("version").value)];
}

async function add(file) {
  const [model, version] = chosen();
  if (!version) return say("No model is served: export one, and reload this page.");
  const article = find("answer").content.cloneNode(true).firstElementChild;
  article.id = `answer-${find("answers").childElementCount}`;
  article.querySelector("h2").textContent = `${file.name} (${model}, version ${version.number})`;
  find("answers").prepend(article);
  const image = article.querySelector("img");
  image.alt = file.name;
  image.src = URL.createObjectURL(file);
  try {
    const [classes] = await Promise.all([classified(file, model, version), image.decode().catch(() => {})]);
    show(article, classes, version);
  } catch (error) {
    const message = article.querySelector(".error");
    message.textContent = error.message;
    message.hidden = false;
  }
}

async function addAll(files) {
  let done = 0;
  for (const file of files) {  // one by one: the server computes one image as fast as several
    say(`Asking about ${file.name} …`);
    await add(file);
    done += 1;
  }
  if (done) say(`${done} ${done === 1 ? "picture" : "pictures"} answered.`);
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function fillVersions() {
  const model = models.find((one) => one.name === find("model").value);
  fill(find("version"), (model?.versions ?? []).map(({ number, labels }) =>
    [number, labels.length ? `${number} (${labels.join(", ")})` : `${number}`]));
}

const drop = find("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") addAll(event.dataTransfer.files);
  });
}
find("files").addEventListener("change", (event) => addAll(event.target.files));
find("model").addEventListener("change", fillVersions);

try {
  ({ models } = await answered("page/models"));
  fill(find("model"), models.map(({ name }) => [name, name]));
  fillVersions();
  if (!models.length) say("No model is served: export one, and reload this page.");
} catch (error) {
  say(error.message);
}
