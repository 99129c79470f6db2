///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Measures what neon-ci costs a build, compared to the tools it replaces
//RUNTIME_OPTIONS -XX:+UseSerialGC
//SOURCES ../neon-ci.java
//SOURCES sandbox/Sandbox.java
//SOURCES sandbox/Shell.java

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * Runs neon-ci and the tools it replaces as whole processes, in turn, each against a sandbox of its own, and prints what each took. A run
 * that did not do its task ends the benchmark.
 */
@Command(name = "bench", mixinStandardHelpOptions = true, usageHelpWidth = 110, sortOptions = false,
        description = "Measures what neon-ci costs a build, compared to the AWS CLI and neonctl if both are on the PATH. Run it in the"
                + " folder of neon-ci.java.",
        footer = "%nwall, cpu: seconds, median. memory: of the largest process, in MB. requests: how many, and how many of them one after"
                + " another. ratio: wall time compared to the first row, median over pairs of runs.")
class bench implements Callable<Integer> {

    @Option(names = "--tasks", split = ",", paramLabel = "TASK", defaultValue = "new,reused,1",
            description = "Tasks to run: create-branch with a 'new' or a 'reused' branch; cleanup-branches with this number of orphans;"
                    + " 'cold', a new branch with empty caches, which downloads. Default: ${DEFAULT-VALUE}.")
    private List<String> tasks;

    @Option(names = "--latency", paramLabel = "MS", defaultValue = "0",
            description = "Delay each answer by this many milliseconds. Default: ${DEFAULT-VALUE}.")
    private int latency;

    @Option(names = "--operations", paramLabel = "MS", defaultValue = "100",
            description = "Let each of Neon's operations take this many milliseconds. Default: ${DEFAULT-VALUE}.")
    private int operations;

    @Option(names = "--runs", paramLabel = "N", defaultValue = "5", description = "Number of timed runs. Default: ${DEFAULT-VALUE}.")
    private int runs;

    @Parameters(paramLabel = "PROGRAM", description = "More programs to compare, each quoted as one word, with absolute paths, such as"
            + " '/old/.ci/jbang /old/neon-ci.java'. They get neon-ci's arguments.")
    private List<String> others = List.of();

    @Spec
    private CommandSpec command;

    private static final String API_KEY = """
            export AWS_DEFAULT_REGION=$AWS_REGION
            NEON_API_KEY=$(aws ssm get-parameter --name "$NEON_API_KEY_PARAM" --with-decryption --query Parameter.Value --output text)
            export NEON_API_KEY
            """;

    /** What a build did without neon-ci. {@code branches create} fails if the branch exists. */
    private static final String NEONCTL_CREATE = API_KEY + """
            neonctl --no-analytics branches create --project-id "$NEON_PROJECT_ID" --name "$AWS_APP_ID-$AWS_BRANCH" >/dev/null 2>&1 || true
            url=$(neonctl --no-analytics connection-string "$AWS_APP_ID-$AWS_BRANCH" --project-id "$NEON_PROJECT_ID" --pooled)
            printf 'DATABASE_URL="%s"\\n' "$url" >.env
            """;

    private static final String NEONCTL_CLEANUP = API_KEY + """
            live=" $(aws amplify list-branches --app-id "$AWS_APP_ID" --query 'branches[].branchName' --output text | tr '\\t' ' ') "
            neonctl --no-analytics branches list --project-id "$NEON_PROJECT_ID" --output json |
              sed -n "s/^ *\\"name\\": \\"$AWS_APP_ID-\\(.*\\)\\",$/\\1/p" |
              while IFS= read -r branch; do
                case $live in *" $branch "*) continue ;; esac
                neonctl --no-analytics branches delete "$AWS_APP_ID-$branch" --project-id "$NEON_PROJECT_ID" </dev/null >/dev/null
              done
            """;

    private static final String NPM_INSTALL = """
            npm install --loglevel=error --no-fund --no-audit --cache "$PWD/npm" --prefix "$PWD" neonctl@5.0.1
            PATH=$PWD/node_modules/.bin:$PATH
            """;

    /** A finished run: seconds, the megabytes of its largest process, and its requests, in all and one after another. */
    private record Run(double wall, double cpu, long memory, int requests, int chain) {
    }

    public static void main(String... args) {
        System.exit(new CommandLine(new bench()).execute(args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        for (String task : tasks) {
            int orphans = task.matches("new|reused|cold") ? 0 : Integer.parseInt(task);
            Map<String, String> scripts = scripts(orphans, task.equals("cold"));
            Map<String, Run> observed = new LinkedHashMap<>();
            Map<String, List<Run>> timed = new LinkedHashMap<>();
            for (String program : scripts.keySet()) {
                if (!task.equals("cold")) {
                    // Fills the caches.
                    run("reused", 0, scripts(0, false).get(program), false);
                }
                observed.put(program, run(task, orphans, scripts.get(program), true));
                timed.put(program, new ArrayList<>());
            }
            for (int i = 0; i < runs; i++) {
                for (String program : scripts.keySet()) {
                    timed.get(program).add(run(task, orphans, scripts.get(program), false));
                }
            }
            print(task, observed, timed);
        }
        return CommandLine.ExitCode.OK;
    }

    /** Returns what to compare: bash scripts by their names. Those of neon-ci take its arguments. */
    private Map<String, String> scripts(int orphans, boolean isCold) {
        Map<String, String> scripts = new LinkedHashMap<>();
        if (Shell.isOnPath("aws") && Shell.isOnPath(isCold ? "npm" : "neonctl")) {
            scripts.put("aws + neonctl", (isCold ? NPM_INSTALL : "") + (orphans == 0 ? NEONCTL_CREATE : NEONCTL_CLEANUP));
        }
        Path folder = Path.of("").toAbsolutePath();
        scripts.put("neon-ci", Shell.quoted(folder + "/.ci/jbang", folder + "/neon-ci.java") + " \"$@\"");
        others.forEach(other -> scripts.put(other, other + " \"$@\""));
        return scripts;
    }

    private Run run(String task, int orphans, String script, boolean isObserved) throws IOException, InterruptedException {
        Path folder = Files.createTempDirectory("neon-ci-bench-");
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            // With a delay, requests that are sent at the same time overlap.
            sandbox.latency(Duration.ofMillis(isObserved ? Math.max(latency, 100) : latency));
            sandbox.neon().operationsTake(Duration.ofMillis(operations));
            if (task.equals("reused")) {
                sandbox.neon().add(SandboxAws.APP_ID + "-feature/login");
            }
            IntStream.range(0, orphans).forEach(i -> sandbox.neon().add(SandboxAws.APP_ID + "-gone-" + i));
            Process process = start(sandbox, folder, task, orphans, script);
            long memory = 0;
            while (!process.waitFor(isObserved ? 5 : 600_000, TimeUnit.MILLISECONDS)) {
                memory = Math.max(memory, largestProcess(process));
            }
            boolean isDone = orphans > 0 ? sandbox.neon().branches().size() == 1
                    : Files.exists(folder.resolve(".env")) && sandbox.neon().hasBranch(SandboxAws.APP_ID + "-feature/login");
            if (process.exitValue() != 0 || !isDone) {
                throw new IllegalStateException("Task '" + task + "' failed: " + Files.readString(folder.resolve("output")));
            }
            double[] times = Stream.of(Files.readString(folder.resolve("times")).strip().split(" ")).mapToDouble(Double::parseDouble)
                    .toArray();
            return new Run(times[0], times[1] + times[2], memory, sandbox.exchanges().size(),
                    Exchange.longestChain(sandbox.exchanges()).size());
        } finally {
            Shell.delete(folder);
        }
    }

    private static Process start(Sandbox sandbox, Path folder, String task, int orphans, String script) throws IOException {
        List<String> bash = new ArrayList<>(List.of("bash", "-c",
                "TIMEFORMAT='%R %U %S'; { time { set -euo pipefail\n" + script + "\n} >output 2>&1; } 2>times", "bash"));
        bash.addAll(orphans == 0 ? List.of("create-branch") : List.of("cleanup-branches", "--max-deletions", "" + orphans));
        ProcessBuilder builder = new ProcessBuilder(bash).directory(folder.toFile());
        Map<String, String> environment = builder.environment();
        environment.keySet().removeIf(name -> name.matches("(AWS|NEON)_.*|JBANG_JAVA_OPTIONS"));
        environment.putAll(sandbox.environment());
        if (task.equals("cold")) {
            environment.putAll(Map.of("JBANG_DIR", folder + "/jbang", "JBANG_REPO", folder + "/repository"));
        } else {
            // In a build the wrapper would start with an empty cache in this folder.
            environment.putIfAbsent("JBANG_DIR", System.getProperty("user.home") + "/.jbang");
        }
        return builder.start();
    }

    /** Returns the peak memory, in MB, of the largest process below this one; 0 where there is no /proc. */
    private static long largestProcess(Process parent) {
        return parent.descendants().mapToLong(process -> {
            try (Stream<String> status = Files.lines(Path.of("/proc", "" + process.pid(), "status"))) {
                return status.filter(line -> line.startsWith("VmHWM:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024)
                        .sum();
            } catch (IOException | UncheckedIOException e) {
                return 0; // It has just ended.
            }
        }).max().orElse(0);
    }

    private void print(String task, Map<String, Run> observed, Map<String, List<Run>> timed) {
        PrintWriter out = command.commandLine().getOut();
        out.printf("%n%s; latency %d ms; operations %d ms; runs: %d; cores: %d; Java %s%n", task, latency, operations, runs,
                Runtime.getRuntime().availableProcessors(), System.getProperty("java.version"));
        out.printf("%-20s %7s %7s %7s %9s %6s%n", "", "wall", "cpu", "memory", "requests", "ratio");
        List<Run> first = timed.values().iterator().next();
        timed.forEach((program, measured) -> out.printf(Locale.ROOT, "%-20s %7.2f %7.2f %7d %9s %6.2f%n", program,
                median(measured.stream().map(Run::wall)), median(measured.stream().map(Run::cpu)), observed.get(program).memory(),
                observed.get(program).requests() + " / " + observed.get(program).chain(),
                median(IntStream.range(0, runs).mapToObj(i -> measured.get(i).wall() / first.get(i).wall()))));
        out.flush();
    }

    private static double median(Stream<Double> values) {
        List<Double> sorted = values.sorted().toList();
        return (sorted.get((sorted.size() - 1) / 2) + sorted.get(sorted.size() / 2)) / 2;
    }
}
