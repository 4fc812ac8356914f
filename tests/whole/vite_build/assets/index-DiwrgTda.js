const l=document.querySelector("#app");l.textContent="Hello from a build";import("./about-BRBmoGS9.js").then(e=>e.show(l));
