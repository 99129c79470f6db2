//DEPS org.yaml:snakeyaml:2.7
//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.yaml.snakeyaml.Yaml;

/**
 * Runs a buildspec as Amplify does: the commands of all phases in one shell that is not root's, up to the first that fails, with no Java
 * and no JBang, in an empty home; the cache's paths are kept from one build to the next. What a build would fetch from the network is
 * handed to it by stand-ins, which write down that they were asked; so do those for the tools of the app itself.
 */
final class Rehearsal {

    /** What a build left: whether it got to its end, all it printed, what the stand-ins were asked, and the folder it ran in. */
    record Build(boolean isDeployed, String log, List<String> calls, Path folder) {
    }

    private static final Path PROJECT = Path.of("").toAbsolutePath();
    /** What a user copies into the repository. */
    private static final List<String> COPY = List.of("neon-ci.java", "lib", ".ci/jbang");

    /** All that Amplify's image has and the commands or the stand-ins need. */
    private static final List<String> PROGRAMS = List.of("bash", "sh", "env", "cat", "cp", "ln", "ls", "mkdir", "mv", "rm", "touch",
            "dirname", "basename", "uname", "sed", "grep", "tar", "gzip", "git", "node", "id", "tr", "cut", "head");

    /** JUnit warns of each link to the outside that it deletes, such as those to the tools. */
    private static final Logger TEMPORARY_FOLDERS = Logger.getLogger("org.junit.jupiter.api.io");

    private final Path folder;
    private final Sandbox sandbox;
    private final Path tools;
    private final Path calls;
    private final Path cache;
    private Path appFiles;
    private List<String> copied = COPY;
    private int builds;

    /** Prepares builds in this folder, which is given to a user who is not root. */
    Rehearsal(Path folder, Sandbox sandbox) throws IOException {
        TEMPORARY_FOLDERS.setLevel(Level.SEVERE);
        this.folder = folder;
        this.sandbox = sandbox;
        tools = Files.createDirectories(folder.resolve("tools"));
        cache = Files.createDirectories(folder.resolve("cache"));
        calls = Files.writeString(folder.resolve("calls"), "");
        Files.copy(jbangJar(), tools.resolve("jbang.jar"));
        for (String program : PROGRAMS) {
            link(program);
        }
        tool("curl", "case \"$*\" in *https://sh.jbang.dev) cat \"$TOOLS/installer\" ;; *) exit 22 ;; esac");
        for (String recorded : List.of("nvm", "corepack", "npx", "npm")) {
            tool(recorded, "");
        }
        // Like Next.js, which takes the env file along, and like Nuxt, which takes what is in the environment.
        tool("pnpm", "[ \"$*\" != 'run build' ] || { mkdir -p .amplify-hosting && cp .env .amplify-hosting &&"
                + " env > .amplify-hosting/baked; }");
        Files.writeString(tools.resolve("installer"), """
                [ "$*" = version ] || exit 1
                mkdir -p "$JBANG_DIR/bin" && cp "$TOOLS/jbang.jar" "$JBANG_DIR/bin" && cp "$TOOLS/launcher" "$JBANG_DIR/bin/jbang"
                exec "$JBANG_DIR/bin/jbang" "$@"
                """);
        // Like JBang's own launcher: fetches the JDK that the variable names if there is none, and runs what the jar prints.
        tool("launcher", """
                jdk="$JBANG_DIR/cache/jdks/${JBANG_DEFAULT_JAVA_VERSION:-17}"
                if [ ! -e "$jdk" ]; then echo "a JDK" >> "$CALLS"; mkdir -p "$JBANG_DIR/cache/jdks" && ln -s "$JDK" "$jdk"; fi
                export JBANG_RUNTIME_SHELL=bash JBANG_STDIN_NOTTY=true JAVA_HOME="$jdk"
                output=$("$jdk/bin/java" $JBANG_JAVA_OPTIONS -jar "$JBANG_DIR/bin/jbang.jar" "$@")
                code=$?
                [ $code -ne 255 ] || eval "exec $output"
                [ -z "$output" ] || echo "$output"
                exit $code""");
    }

    /** Puts the files of this folder into every build from now on, and lets it use the real npm. */
    void useApp(Path files) throws IOException {
        appFiles = files;
        for (String program : List.of("npm", "npx")) {
            Files.delete(tools.resolve(program));
            link(program);
        }
    }

    /** Lets the repository have these files of the project's alone, from now on. */
    void copyOnly(String... files) {
        copied = List.of(files);
    }

    /** Starts with a cache in which there is nothing. */
    void emptyCache() throws IOException {
        Shell.delete(cache);
        Files.createDirectory(cache);
    }

    /**
     * Builds a branch by a buildspec.
     *
     * @param buildspec the text of an amplify.yml
     * @param branch the Amplify branch
     * @param changes variables that differ from those of a build in the sandbox
     */
    Build build(String buildspec, String branch, Map<String, String> changes) throws IOException {
        if (builds > 0) {
            // Each build has a machine of its own: what still names the last one's folder finds nothing there.
            Files.move(folder.resolve("build-" + builds), folder.resolve("gone-" + builds));
        }
        Path root = Files.createDirectories(folder.resolve("build-" + ++builds));
        for (String part : copied) {
            Shell.copy(PROJECT.resolve(part), root.resolve(part));
        }
        Map<?, ?> spec = new Yaml().load(buildspec);
        Map<?, ?> app = spec.containsKey("applications") ? (Map<?, ?>) ((List<?>) spec.get("applications")).get(0) : spec;
        String appRoot = String.valueOf(app.containsKey("appRoot") ? app.get("appRoot") : ".");
        Path place = Files.createDirectories(root.resolve(appRoot).normalize());
        Shell.copy(cache, place);
        if (appFiles != null) {
            Shell.copy(appFiles, place);
        }

        List<String> script = new ArrayList<>();
        for (String command : commands(app)) {
            // Amplify says each command first, in quotes that the command's own can end: amplify-hosting issue 1337.
            for (String line : List.of("echo \"# Executing command: " + command + "\"", command)) {
                Path file = Files.writeString(root.resolve("command-" + script.size()), line);
                script.add(". '" + file + "' || exit");
            }
        }
        Files.writeString(root.resolve("build.sh"), String.join("\n", script));
        Files.writeString(calls, "");

        Map<String, String> environment = sandbox.environment(Map.of("AWS_BRANCH", branch, "AWS_COMMIT_ID", "HEAD",
                "AWS_JOB_ID", "0000000001", "PATH", tools.toString(), "HOME", Files.createDirectories(root.resolve("home")).toString(),
                "TOOLS", tools.toString(), "CALLS", calls.toString(), "JDK", System.getProperty("java.home"), "JAVA_HOME", ""));
        environment.put("LC_ALL", "");
        environment.put("npm_config_cache", folder.resolve("npm-cache").toString());
        environment.putAll(changes);
        Shell.Result result = runAsUser(place, environment, root.resolve("build.sh"));
        String log = result.out() + result.err();
        Cli.assertNoSecret(sandbox.secrets(), log);
        if (result.exitCode() == 0) {
            saveCache(app, place);
        }
        return new Build(result.exitCode() == 0, log, Files.readAllLines(calls), place);
    }

    private static List<String> commands(Map<?, ?> app) {
        List<String> commands = new ArrayList<>();
        for (String half : List.of("backend", "frontend")) {
            for (String phase : List.of("preBuild", "build", "postBuild")) {
                if (app.get(half) instanceof Map<?, ?> halves && halves.get("phases") instanceof Map<?, ?> phases
                        && phases.get(phase) instanceof Map<?, ?> found) {
                    ((List<?>) found.get("commands")).forEach(command -> commands.add((String) command));
                }
            }
        }
        return commands;
    }

    /** Keeps what the cache's paths name below the app's folder; of a path that leads elsewhere Amplify keeps nothing. */
    private void saveCache(Map<?, ?> app, Path place) throws IOException {
        Object paths = app.get("frontend") instanceof Map<?, ?> frontend && frontend.get("cache") instanceof Map<?, ?> kept
                ? kept.get("paths") : null;
        for (Object path : paths == null ? List.of() : (List<?>) paths) {
            PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + path);
            try (Stream<Path> files = Files.walk(place)) {
                for (Path file : files.filter(file -> matcher.matches(place.relativize(file)))
                        .filter(file -> !Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)).toList()) {
                    Shell.copy(file, cache.resolve(place.relativize(file).toString()));
                }
            }
        }
    }

    private Shell.Result runAsUser(Path place, Map<String, String> environment, Path script) {
        if (!Shell.isRoot()) {
            return Shell.run(place, environment, tools.resolve("bash").toString(), script.toString());
        }
        Shell.run(folder, Map.of(), "chown", "-R", "nobody", folder.toString());
        return Shell.run(place, environment, "/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                tools.resolve("bash").toString(), script.toString());
    }

    private void link(String program) throws IOException {
        Files.createSymbolicLink(tools.resolve(program), Shell.onPath(program));
    }

    private void tool(String name, String script) throws IOException {
        Path file = Files.writeString(tools.resolve(name), "#!/bin/bash\n"
                + (name.equals("launcher") ? "" : "echo \"" + name + " $*\" >> \"$CALLS\"\n") + script + "\n");
        file.toFile().setExecutable(true, false);
    }

    /** Returns the jar of JBang, as {@code .ci/jbang} has fetched and checked it. */
    private static Path jbangJar() {
        Path jbangDir = Path.of(System.getenv().getOrDefault("JBANG_DIR", System.getProperty("user.home") + "/.jbang"));
        Shell.Result fetched = Shell.run(PROJECT, Map.of("HOME", System.getProperty("user.home"), "JBANG_DIR", jbangDir.toString(),
                "PATH", "/usr/local/bin:/usr/bin:/bin"), ".ci/jbang", "--version");
        Path jar = jbangDir.resolve("jbang-cli-0.132.1-all.jar");
        if (!Files.exists(jar)) {
            throw new IllegalStateException("no JBang to rehearse with: " + fetched.err());
        }
        return jar;
    }
}
