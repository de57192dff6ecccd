// The stage: takes media in, and steps through a clip. Its content is made by the server; listeners sit on the element,
// because the content is exchanged.

const framesOf = (video) => Math.max(1, Number(element.querySelector(".scrub input").max) + 1);
const videoOf = () => element.querySelector("video");

function slip(told) {
	const place = element.querySelector(".slip");
	place.textContent = told;
	place.hidden = !told;
}

function say(label, told) {
	label.dataset.busy = told;
	label.classList.toggle("busy", Boolean(told));
}

function send(file, label) {
	slip("");
	say(label, "Sending…");
	const request = new XMLHttpRequest();
	request.open("POST", "media");
	request.setRequestHeader("Content-Type", "application/octet-stream");
	request.upload.onprogress = (event) => {
		const share = event.lengthComputable ? Math.floor((100 * event.loaded) / event.total) : 0;
		say(label, share < 100 ? `Sending ${share} %` : "Looking at it…");
	};
	request.onload = () => {
		say(label, "");
		let answer = {};
		try {
			answer = JSON.parse(request.responseText);
		} catch (error) {
			answer = {};
		}
		if (request.status === 200) trigger("dropped", { id: answer.id });
		else slip(answer.error ? answer.error.message.replace(/^media: /, "") : "The server did not take it. Try again.");
	};
	request.onerror = () => {
		say(label, "");
		slip("The server cannot be reached, or takes no file of this size.");
	};
	request.send(file);
}

element.addEventListener("change", (event) => {
	if (event.target.type === "file" && event.target.files.length) {
		send(event.target.files[0], event.target.closest("label"));
		event.target.value = "";
	}
	if (event.target.type === "checkbox") {
		element.querySelector(".frame").classList.toggle("bare", !event.target.checked);
	}
});

element.addEventListener("dragover", (event) => {
	event.preventDefault();
	element.classList.add("over");
});
element.addEventListener("dragleave", () => element.classList.remove("over"));
element.addEventListener("drop", (event) => {
	event.preventDefault();
	element.classList.remove("over");
	const file = event.dataTransfer.files[0];
	if (file) send(file, element.querySelector(".drop, .swap"));
});

function show(frame) {
	const video = videoOf();
	video.pause();
	video.currentTime = (frame + 0.5) / Number(video.dataset.fps);
	tell(frame);
}

function tell(frame) {
	const scrub = element.querySelector(".scrub");
	scrub.querySelector("input").value = frame;
	scrub.querySelector("output").textContent = `${frame} / ${framesOf() - 1}`;
}

element.addEventListener("input", (event) => {
	if (event.target.type === "range") show(Number(event.target.value));
});

element.addEventListener("click", (event) => {
	const video = videoOf();
	if (!video || !event.target.closest("video, .play")) return;
	if (video.paused) video.play();
	else video.pause();
});

// Events of media do not bubble, but they can be caught on the way down.
element.addEventListener(
	"loadedmetadata",
	(event) => {
		show(Number(event.target.dataset.frame));
	},
	true,
);
for (const kind of ["play", "pause"]) {
	element.addEventListener(kind, () => element.querySelector(".scrub").classList.toggle("playing", kind === "play"), true);
}
element.addEventListener(
	"timeupdate",
	(event) => {
		const frame = Math.floor(event.target.currentTime * Number(event.target.dataset.fps));
		tell(Math.min(frame, framesOf() - 1));
	},
	true,
);
