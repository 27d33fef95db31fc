// SPDX-License-Identifier: GPL-3.0-or-later
// A Flamenco 3 job type: bake the talking characters of a shot on one worker, then render its frames on all of them.
// Put this file into the folder `scripts` beside the Flamenco Manager, and choose "EDTalk bake and render" in Blender.

const JOB_TYPE = {
    label: "EDTalk bake and render",
    description: "Bake what changed of the EDTalk characters on a worker that has a server, then render the frames",
    settings: [
        {
            key: "frames", type: "string", required: true,
            eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
            evalInfo: { showLinkButton: true, description: "Scene frame range" },
            description: "Frames to render, such as '47', '1-30' or '3, 5-10'",
        },
        {
            key: "bake_frames", type: "string", required: true,
            eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
            description: "Frames to bake first, as one range: '1-120'. Frames that did not change are kept",
        },
        {
            key: "character", type: "string", required: false, default: "",
            description: "Bake only this object. Empty: every character of the scene",
        },
        { key: "chunk_size", type: "int32", default: 10, visible: "submission", description: "Frames of one render task" },
        {
            key: "bake_only", type: "bool", required: false, default: false,
            description: "Bake and do not render",
        },
        {
            key: "render_output_path", type: "string", subtype: "file_path", required: true,
            eval: "str(Path(abspath(C.scene.render.filepath or '//render')) / '######')",
            description: "Where the rendered frames go",
        },
        { key: "blendfile", type: "string", required: true, visible: "web", description: "The shot's .blend file" },
        { key: "scene", type: "string", required: true, eval: "C.scene.name", visible: "web", description: "The scene" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const bake = bakeTask(settings);
    job.addTask(bake);
    if (settings.bake_only) return;
    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        const render = renderTask(settings, chunk);
        render.addDependency(bake);
        job.addTask(render);
    }
}

// One task: all frames of a take are written by one process, which keeps its manifest.
function bakeTask(settings) {
    const args = ["--command", "edtalk", "bake", "--scene", settings.scene, "--frames", settings.bake_frames, "--save"];
    if (settings.character) args.push("--character", settings.character);
    return blenderTask("bake", "misc", settings, args);
}

function renderTask(settings, chunk) {
    const args = ["--scene", settings.scene, "--render-output", settings.render_output_path, "--render-frame"];
    return blenderTask("render-" + chunk, "blender", settings, args.concat([chunk.replace("-", "..")]));
}

function blenderTask(name, type, settings, args) {
    const task = author.Task(name, type);
    task.addCommand(author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: [],
        blendfile: settings.blendfile,
        args: args,
    }));
    return task;
}
