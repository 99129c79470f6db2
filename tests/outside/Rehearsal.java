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
 * Runs a buildspec as Amplify does: all commands in one shell, not as root, until one fails; in an empty home without Java and JBang; with
 * the cache's paths kept for the next build, which runs in another folder. Stand-ins replace downloads and the app's own tools, and record
 * their calls.
 */
final class Rehearsal {

    record Build(boolean isDeployed, String log, List<String> calls, Path folder) {

        /** Returns the calls that download JBang or Java. */
        List<String> downloads() {
            return calls.stream().filter(call -> call.startsWith("curl ") || call.equals("a JDK")).toList();
        }
    }

    private static final Path PROJECT = Path.of("").toAbsolutePath();

    /** The folder that users copy, by the place of its files in this repository. */
    private static final Map<String, String> COPY = Map.of("neon-ci.java", ".neon-ci/neon-ci.java", "lib", ".neon-ci/lib",
            ".ci/jbang", ".neon-ci/jbang");

    /** The programs of Amplify's image that the commands or the stand-ins need. */
    private static final List<String> PROGRAMS = List.of("bash", "sh", "env", "cat", "cp", "ln", "ls", "mkdir", "mv", "rm", "touch",
            "dirname", "basename", "uname", "sed", "grep", "tar", "gzip", "git", "node", "id", "tr", "cut", "head");

    /** JUnit warns about each link that it deletes, such as those to the tools. */
    private static final Logger TEMPORARY_FOLDERS = Logger.getLogger("org.junit.jupiter.api.io");

    private final Path folder;
    private final Sandbox sandbox;
    private final Path tools;
    private final Path calls;
    private final Path cache;
    private Path appFiles;
    private int builds;

    /** Prepares builds in this folder, whose owner becomes a user other than root. */
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
        // Next.js copies the env file, Nuxt reads the environment.
        tool("pnpm", "[ \"$*\" != 'run build' ] || { mkdir -p .amplify-hosting && cp .env .amplify-hosting &&"
                + " env > .amplify-hosting/baked; }");
        // As JBang's own installer: the first command downloads a JDK of this version. The jar replaces the launcher.
        Files.writeString(tools.resolve("installer"), """
                [ "$* $JBANG_DOWNLOAD_VERSION" = 'version 0.132.1' ] || exit 1
                mkdir -p "$JBANG_DIR/bin" "$JBANG_DIR/cache/jdks" && cp "$TOOLS/jbang.jar" "$JBANG_DIR/bin" && echo "a JDK" >> "$CALLS"
                ln -s "$JDK" "$JBANG_DIR/cache/jdks/$JBANG_DEFAULT_JAVA_VERSION" && cp "$TOOLS/corepack" "$JBANG_DIR/bin/jbang"
                """);
    }

    /** Copies the files of this folder into every following build, which gets the real npm. */
    void useApp(Path files) throws IOException {
        appFiles = files;
        for (String program : List.of("npm", "npx")) {
            Files.delete(tools.resolve(program));
            link(program);
        }
    }

    void emptyCache() throws IOException {
        Shell.delete(cache);
        Files.createDirectory(cache);
    }

    /**
     * Builds an Amplify branch.
     *
     * @param buildspec the text of an amplify.yml
     * @param changes variables that differ from the sandbox's
     */
    Build build(String buildspec, String branch, Map<String, String> changes) throws IOException {
        if (builds > 0) {
            // Each build has its own machine, so paths into the folder of the last one must not work.
            Files.move(folder.resolve("build-" + builds), folder.resolve("gone-" + builds));
        }
        Path root = Files.createDirectories(folder.resolve("build-" + ++builds));
        COPY.forEach((from, to) -> Shell.copy(PROJECT.resolve(from), root.resolve(to)));
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
            // Amplify prints each command first, in quotes that the command's own quotes can end: amplify-hosting issue 1337.
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
        if (log.contains("\u001b")) {
            throw new IllegalStateException("the log contains escape sequences: " + log);
        }
        if (result.exitCode() == 0) {
            saveCache(app, place);
        }
        return new Build(result.exitCode() == 0, log, Files.readAllLines(calls), place);
    }

    private static List<String> commands(Map<?, ?> app) {
        List<String> commands = new ArrayList<>();
        for (String half : List.of("backend", "frontend")) {
            for (String phase : List.of("preBuild", "build", "postBuild")) {
                commands.addAll(list(app, half, "phases", phase, "commands"));
            }
        }
        return commands;
    }

    /** Returns the list at this place of a buildspec, or an empty one. */
    @SuppressWarnings("unchecked")
    private static List<String> list(Map<?, ?> spec, String... keys) {
        Object found = spec;
        for (String key : keys) {
            found = found instanceof Map<?, ?> map ? map.get(key) : null;
        }
        return found == null ? List.of() : (List<String>) found;
    }

    /** Keeps what the cache's paths match in the app's folder. Amplify ignores paths that lead elsewhere. */
    private void saveCache(Map<?, ?> app, Path place) throws IOException {
        for (String path : list(app, "frontend", "cache", "paths")) {
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
                + "echo \"" + name + " $*\" >> \"$CALLS\"\n" + script + "\n");
        file.toFile().setExecutable(true, false);
    }

    /** Returns JBang's jar, as {@code .ci/jbang} has downloaded and verified it. */
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
