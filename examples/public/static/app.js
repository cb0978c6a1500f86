const button = document.getElementById("button");
const socket = io();
socket.on("clicks", (count) => { button.textContent = count; });
button.onclick = () => socket.emit("click");
