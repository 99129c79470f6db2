///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Measures what neon-ci costs a build, next to the tools it replaces
//RUNTIME_OPTIONS -XX:+UseSerialGC
//SOURCES ../neon-ci.java
//SOURCES sandbox/Sandbox.java
//SOURCES sandbox/Shell.java

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * Runs neon-ci and the tools it replaces as whole processes, in turn, against the sandbox's clouds, and prints what each took. Every run
 * gets clouds of its own and is checked for what it was to do.
 */
@Command(name = "bench", mixinStandardHelpOptions = true, usageHelpWidth = 110, sortOptions = false,
        description = "Measures what neon-ci costs a build, next to the tools it replaces. Run it in the folder of neon-ci.java.",
        footer = "%nThe tools it replaces are the AWS CLI and neonctl; whatever is not on the PATH is left out.%n"
                + "wall: seconds, median and min..max. cpu: user + system seconds. memory: of the largest process, in MB. chain: how many"
                + " of the requests had to wait for one another. ratio: wall time over that of the first row, run by run; the median.")
class bench implements Callable<Integer> {

    @Option(names = "--tasks", split = ",", paramLabel = "TASK", defaultValue = "new,reused,1",
            description = "What to run: create-branch with a 'new' or a 'reused' branch, cleanup-branches with this number of orphans, or"
                    + " 'cold', a new branch with nothing cached, which downloads. Default: ${DEFAULT-VALUE}.")
    private List<String> tasks;

    @Option(names = "--latency", paramLabel = "MS", defaultValue = "0",
            description = "Milliseconds that the clouds take for each answer. Default: ${DEFAULT-VALUE}.")
    private int latency;

    @Option(names = "--operations", paramLabel = "MS", defaultValue = "100",
            description = "Milliseconds that each of Neon's operations takes. Default: ${DEFAULT-VALUE}.")
    private int operations;

    @Option(names = "--runs", paramLabel = "N", defaultValue = "5", description = "Timed runs of each. Default: ${DEFAULT-VALUE}.")
    private int runs;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Parameters(paramLabel = "PROGRAM",
            description = "More command lines to compare; they get neon-ci's arguments added. Quote each as a whole.")
    private List<String> others = List.of();

    @Spec
    private CommandSpec command;

    private Path temporary;

    /** What README and amplify.yml set as JBANG_JAVA_OPTIONS. */
    private static final String OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

    /** What a build did before there was neon-ci. {@code branches create} fails when the branch is there. */
    private static final String NEONCTL_CREATE = """
            export AWS_DEFAULT_REGION=$AWS_REGION
            NEON_API_KEY=$(aws ssm get-parameter --name "$NEON_API_KEY_PARAM" --with-decryption --query Parameter.Value --output text)
            export NEON_API_KEY
            neonctl --no-analytics branches create --project-id "$NEON_PROJECT_ID" --name "$AWS_APP_ID-$AWS_BRANCH" >/dev/null 2>&1 || true
            url=$(neonctl --no-analytics connection-string "$AWS_APP_ID-$AWS_BRANCH" --project-id "$NEON_PROJECT_ID" --pooled)
            printf 'DATABASE_URL="%s"\\n' "$url" >.env
            """;

    private static final String NEONCTL_CLEANUP = """
            export AWS_DEFAULT_REGION=$AWS_REGION
            NEON_API_KEY=$(aws ssm get-parameter --name "$NEON_API_KEY_PARAM" --with-decryption --query Parameter.Value --output text)
            export NEON_API_KEY
            live=" $(aws amplify list-branches --app-id "$AWS_APP_ID" --query 'branches[].branchName' --output text | tr '\\t' ' ') "
            neonctl --no-analytics branches list --project-id "$NEON_PROJECT_ID" --output json |
              sed -n "s/^ *\\"name\\": \\"$AWS_APP_ID-\\(.*\\)\\",$/\\1/p" |
              while IFS= read -r branch; do
                case $live in *" $branch "*) continue ;; esac
                neonctl --no-analytics branches delete "$AWS_APP_ID-$branch" --project-id "$NEON_PROJECT_ID" </dev/null >/dev/null
              done
            """;

    private static final String NPM_INSTALL = """
            npm install --loglevel=error --no-fund --no-audit --cache "$PWD/npm" --prefix "$PWD" neonctl@5.0.1 >&2
            PATH=$PWD/node_modules/.bin:$PATH
            """;

    /** More deletions than this are not worth the wait: neonctl is measured on this many and scaled. */
    private static final int MOST_NEONCTL_DELETIONS = 10;

    /**
     * A way to do a task: a bash script, whose arguments are neon-ci's, and its environment.
     *
     * @param isNeonctl whether it is the tools that neon-ci replaces
     */
    private record Program(String name, boolean isNeonctl, Map<String, String> environment, String script) {
    }

    /** What one run took, and what its clouds saw of it; memory and disk in MB. */
    private record Run(double wall, double cpu, double memory, double disk, double requests, double chain, double refused) {

        /** Returns what as many orphans would have taken, going by this run with one and another with ten. */
        Run scaled(Run ten, int orphans) {
            return new Run(scaled(wall, ten.wall, orphans), scaled(cpu, ten.cpu, orphans), Math.max(memory, ten.memory), disk,
                    scaled(requests, ten.requests, orphans), scaled(chain, ten.chain, orphans), refused + ten.refused);
        }

        private static double scaled(double one, double ten, int orphans) {
            return one + (ten - one) / 9 * (orphans - 1);
        }
    }

    public static void main(String... args) {
        System.exit(new CommandLine(new bench()).setExecutionExceptionHandler((e, command, result) -> {
            if (e instanceof Failure) {
                command.getErr().println(e.getMessage());
                return CommandLine.ExitCode.SOFTWARE;
            }
            throw e;
        }).execute(args));
    }

    @Override
    public Integer call() throws IOException {
        if (!tasks.stream().allMatch(task -> task.matches("new|reused|cold|[1-9][0-9]{0,3}"))) {
            throw new ParameterException(command.commandLine(), "A task is 'new', 'reused', 'cold', or a number of orphans.");
        }
        if (!Files.exists(Path.of("neon-ci.java"))) {
            throw new ParameterException(command.commandLine(), "There is no neon-ci.java here; change to its folder.");
        }
        temporary = Files.createTempDirectory("neon-ci-bench-");
        ObjectNode report = new ObjectMapper().createObjectNode().put("cores", Runtime.getRuntime().availableProcessors())
                .put("java", System.getProperty("java.version")).put("latency_ms", latency)
                .put("operations_ms", operations).put("runs", runs);
        try {
            for (String task : tasks) {
                Map<Program, List<Run>> results = measure(task);
                ArrayNode rows = report.putObject(task).putArray("programs");
                results.forEach((program, measured) -> rows.add(row(program, measured, results.values().iterator().next())));
                if (!json) {
                    print(task, report.get(task).get("programs"));
                }
            }
            if (json) {
                command.commandLine().getOut().println(report.toPrettyString());
            }
        } finally {
            Shell.delete(temporary);
        }
        return CommandLine.ExitCode.OK;
    }

    private List<Program> programs(String task) throws IOException {
        List<Program> programs = new ArrayList<>();
        boolean isCold = task.equals("cold");
        List<String> missing = Stream.of("aws", isCold ? "npm" : "neonctl").filter(tool -> !Shell.isOnPath(tool)).toList();
        if (missing.isEmpty()) {
            programs.add(new Program("aws + neonctl", true, Map.of(),
                    (isCold ? NPM_INSTALL : "") + (orphans(task) == 0 ? NEONCTL_CREATE : NEONCTL_CLEANUP)));
        } else {
            say("Leaving out what neon-ci replaces: no " + String.join(" and ", missing) + " on the PATH.");
        }
        Path own = Path.of(".ci/jbang").toAbsolutePath();
        String jbang = Shell.quoted((Shell.isOnPath("jbang") ? Shell.onPath("jbang") : own).toString());
        String source = Shell.quoted(Path.of("neon-ci.java").toAbsolutePath().toString());
        String caches = isCold ? "export JBANG_CACHE_DIR=$PWD/jbang JBANG_REPO=$PWD/repository\n" : "";
        programs.add(new Program("jbang", false, Map.of(), caches + jbang + " " + source + " \"$@\""));
        programs.add(new Program("jbang, options", false, Map.of("JBANG_JAVA_OPTIONS", OPTIONS),
                caches + jbang + " " + source + " \"$@\""));
        if (isCold) {
            return programs;
        }
        // JBang makes the archive next to the jar, in a folder of its own here so as not to leave one in the user's.
        programs.add(new Program("jbang, archive", false,
                Map.of("JBANG_JAVA_OPTIONS", OPTIONS, "JBANG_CACHE_DIR_JARS", temporary.resolve("jars").toString()),
                jbang + " run --cds " + source + " \"$@\""));
        // An archive counts only under the path that its jar had, as it was given.
        programs.add(new Program("jar, archive", false, Map.of(), """
                jar=%1$s/neon-ci.jar
                options='%2$s'
                PATH=${JAVA_HOME:+$JAVA_HOME/bin:}$PATH
                if [ ! -e "$jar.jsa" ]; then
                  %3$s export portable --force -O "$jar" %4$s
                  java $options -Xshare:off -XX:DumpLoadedClassList="$jar.classes" -jar "$jar" "$@"
                  java -Xshare:dump -Xlog:disable -XX:SharedClassListFile="$jar.classes" -XX:SharedArchiveFile="$jar.jsa" -cp "$jar"
                fi
                java $options -Xlog:disable -XX:SharedArchiveFile="$jar.jsa" -jar "$jar" "$@"
                """.formatted(Shell.quoted(temporary.toString()), OPTIONS, jbang, source)));
        others.forEach(other -> programs.add(new Program(other, false, Map.of(), other + " \"$@\"")));
        return programs;
    }

    /** Runs each program once so that it has built and cached what it does, once to look at its memory and requests, and then in turn. */
    private Map<Program, List<Run>> measure(String task) throws IOException {
        boolean isLong = task.equals("cold") || orphans(task) > MOST_NEONCTL_DELETIONS;
        Map<Program, List<Run>> results = new LinkedHashMap<>();
        Map<Program, Run> watched = new HashMap<>();
        for (Program program : programs(task)) {
            results.put(program, new ArrayList<>());
            if (!task.equals("cold") && !program.isNeonctl()) {
                run(program, "reused", 0, false);
            }
            if (!isLong) {
                // Requests that are made at the same time are seen to be so when their answers take a while.
                watched.put(program, run(program, task, Math.max(latency, 100), true));
            }
        }
        for (int i = 0; i < runs; i++) {
            for (Program program : results.keySet()) {
                Run run = program.isNeonctl() && isLong && orphans(task) > 0
                        ? run(program, "1", latency, true).scaled(run(program, "" + MOST_NEONCTL_DELETIONS, latency, true), orphans(task))
                        : run(program, task, latency, isLong);
                Run seen = watched.getOrDefault(program, run);
                results.get(program).add(new Run(run.wall, run.cpu, seen.memory, run.disk, seen.requests, seen.chain, run.refused));
            }
        }
        return results;
    }

    private Run run(Program program, String task, int latencyMillis, boolean isWatched) throws IOException {
        Path folder = Files.createTempDirectory(temporary, "run-");
        try (Sandbox sandbox = Sandbox.withoutPostgres(); Memory memory = new Memory(isWatched)) {
            sandbox.latency(Duration.ofMillis(latencyMillis));
            sandbox.neon().operationsTake(Duration.ofMillis(operations));
            sandbox.neon().limitRate();
            if (task.equals("reused")) {
                sandbox.neon().add(SandboxAws.APP_ID + "-feature/login");
            }
            for (int i = 0; i < orphans(task); i++) {
                sandbox.neon().add(SandboxAws.APP_ID + "-gone-" + i);
            }
            List<String> arguments = orphans(task) == 0 ? List.of("create-branch")
                    : List.of("cleanup-branches", "--max-deletions", "" + orphans(task));
            List<String> bash = new ArrayList<>(List.of("bash", "-c",
                    "TIMEFORMAT='%R %U %S'; time { set -euo pipefail\n" + program.script() + "\n} 2>errors", "bash"));
            bash.addAll(arguments);
            // All else stays: npm may need a company's certificate or proxy.
            Map<String, String> environment = new HashMap<>(System.getenv());
            environment.keySet().removeIf(name -> name.matches("(AWS|NEON)_.*|JBANG_JAVA_OPTIONS"));
            environment.putAll(sandbox.environment());
            environment.putAll(program.environment());
            Shell.Result result = Shell.run(folder, environment, bash.toArray(String[]::new));
            boolean isDone = orphans(task) > 0 ? sandbox.neon().branches().size() == 1
                    : Files.exists(folder.resolve(".env")) && sandbox.neon().hasBranch(SandboxAws.APP_ID + "-feature/login");
            if (result.exitCode() != 0 || !isDone) {
                throw new Failure(program.name() + " did not do '" + String.join(" ", arguments) + "': exit code "
                        + result.exitCode() + "\n" + result.out() + Files.readString(folder.resolve("errors")));
            }
            String[] times = result.err().strip().split(" ");
            return new Run(Double.parseDouble(times[0]), Double.parseDouble(times[1]) + Double.parseDouble(times[2]), memory.peak(),
                    size(folder), sandbox.exchanges().size(), Exchange.longestChain(sandbox.exchanges()).size(),
                    sandbox.neon().rateLimitViolations());
        } finally {
            Shell.delete(folder);
        }
    }

    /** Looks every few milliseconds for the largest process below this one. Only Linux tells. */
    private static final class Memory implements AutoCloseable {

        private volatile boolean isOver;
        private volatile long peakKilobytes;

        Memory(boolean isWatched) {
            Thread watch = new Thread(this::watch);
            watch.setDaemon(true);
            if (isWatched) {
                watch.start();
            }
        }

        double peak() {
            return peakKilobytes / 1024.0;
        }

        @Override
        public void close() {
            isOver = true;
        }

        private void watch() {
            while (!isOver) {
                ProcessHandle.current().descendants().forEach(process -> {
                    try (Stream<String> status = Files.lines(Path.of("/proc", "" + process.pid(), "status"))) {
                        status.filter(line -> line.startsWith("VmHWM:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                                .forEach(kilobytes -> peakKilobytes = Math.max(peakKilobytes, kilobytes));
                    } catch (IOException | UncheckedIOException e) {
                        return; // It has just ended.
                    }
                });
                try {
                    Thread.sleep(5);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }

    private static ObjectNode row(Program program, List<Run> runs, List<Run> baseline) {
        ObjectNode row = new ObjectMapper().createObjectNode().put("name", program.name());
        put(row.putObject("wall_s"), runs.stream().map(Run::wall).toList());
        put(row.putObject("cpu_s"), runs.stream().map(Run::cpu).toList());
        Run last = runs.get(runs.size() - 1);
        row.put("memory_mb", Math.round(last.memory)).put("disk_mb", Math.round(last.disk)).put("requests", Math.round(last.requests))
                .put("chain", Math.round(last.chain)).put("refused", runs.stream().mapToDouble(Run::refused).sum());
        put(row.putObject("ratio"), IntStream.range(0, runs.size()).mapToObj(i -> runs.get(i).wall / baseline.get(i).wall).toList());
        return row;
    }

    private static void put(ObjectNode node, List<Double> values) {
        List<Double> sorted = values.stream().sorted().map(value -> Math.round(value * 1000) / 1000.0).toList();
        int middle = sorted.size() / 2;
        node.put("median", sorted.size() % 2 == 1 ? sorted.get(middle) : (sorted.get(middle - 1) + sorted.get(middle)) / 2)
                .put("min", sorted.get(0)).put("max", sorted.get(sorted.size() - 1));
    }

    private void print(String task, JsonNode rows) {
        PrintWriter out = command.commandLine().getOut();
        String title = switch (task) {
            case "new" -> "create-branch, a new branch";
            case "reused" -> "create-branch, a branch that is there";
            case "cold" -> "create-branch, a new branch, nothing cached";
            default -> "cleanup-branches, orphans: " + task;
        };
        out.printf(Locale.ROOT, "%n%s; latency %d ms; operations %d ms; runs: %d; cores: %d; Java %s%n", title, latency, operations, runs,
                Runtime.getRuntime().availableProcessors(), System.getProperty("java.version"));
        out.printf("%-16s %7s %14s %7s %7s %6s %9s %6s %6s%n", "", "wall", "min..max", "cpu", "memory", "disk", "requests", "chain",
                "ratio");
        for (JsonNode row : rows) {
            JsonNode wall = row.get("wall_s");
            out.printf(Locale.ROOT, "%-16s %7.2f %14s %7.2f %7d %6s %9d %6d %6.2f%n", row.get("name").asText(),
                    wall.get("median").asDouble(),
                    String.format(Locale.ROOT, "%.2f..%.2f", wall.get("min").asDouble(), wall.get("max").asDouble()),
                    row.get("cpu_s").get("median").asDouble(), row.get("memory_mb").asInt(),
                    task.equals("cold") ? row.get("disk_mb").asText() : "", row.get("requests").asInt(), row.get("chain").asInt(),
                    row.get("ratio").get("median").asDouble());
            if (row.get("refused").asInt() > 0) {
                out.println("  of its requests Neon refused as too many: " + row.get("refused").asInt());
            }
        }
        out.flush();
    }

    private void say(String line) {
        command.commandLine().getErr().println(line);
    }

    /** Returns the number of orphans to clean up, or 0 for the tasks that create a branch. */
    private static int orphans(String task) {
        return task.matches("\\d+") ? Integer.parseInt(task) : 0;
    }

    private static double size(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum() / 1e6;
        }
    }
}
