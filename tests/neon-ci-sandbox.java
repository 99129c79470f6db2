///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Try neon-ci with stand-ins for Neon and AWS and a real PostgreSQL on this machine
//RUNTIME_OPTIONS -XX:+UseSerialGC
//MAIN NeonCiSandbox
//SOURCES ../neon-ci.java
//SOURCES sandbox/Sandbox.java

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The sandbox as a program, to try neon-ci without a Neon project and an AWS account. It runs neon-ci's own commands. */
class NeonCiSandbox {

    private static final String USAGE = """
            Usage: .ci/jbang sandbox                          show a Neon branch from its first build to its deletion
                   .ci/jbang sandbox create-branch ...        run this command; without --env-file it writes .env.sandbox
                   .ci/jbang sandbox cleanup-branches ...     run this command
                   .ci/jbang sandbox serve                    keep the sandbox running for commands from another terminal""";

    private static final String SERVED = """

            Then build feature/login and main, and list what a clean-up would delete:
              .ci/jbang neon-ci.java create-branch --production-branch main
              AWS_BRANCH=main .ci/jbang neon-ci.java create-branch --production-branch main
              .ci/jbang neon-ci.java cleanup-branches --dry-run
            Open a pull request in Amplify and build its preview:
              curl -fsS -o /dev/null "$AWS_ENDPOINT_URL_AMPLIFY/apps/$AWS_APP_ID/branches" -d '{"branchName":"pr-1","stage":"PULL_REQUEST"}'
              AWS_BRANCH=pr-1 .ci/jbang neon-ci.java create-branch --production-branch main
            Delete feature/login in Amplify and clean up:
              curl -fsS -o /dev/null "$AWS_ENDPOINT_URL_AMPLIFY/apps/$AWS_APP_ID/branches/feature%2Flogin" -X DELETE
              AWS_BRANCH=main .ci/jbang neon-ci.java cleanup-branches
            Press Ctrl-C to end the sandbox.""";

    private static volatile boolean isEnding;

    public static void main(String... args) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> isEnding = true));
        try {
            System.exit(run(args));
        } catch (Exception e) {
            // Ctrl-C stops the servers that the commands use.
            if (!isEnding) {
                throw e;
            }
        }
    }

    private static int run(String... args) throws Exception {
        String command = args.length == 0 ? "" : args[0];
        boolean isHelp = List.of(args).contains("--help") || List.of(args).contains("-h");
        if (List.of("create-branch", "cleanup-branches").contains(command)) {
            return isHelp ? NeonCi.commandLine(Map.of()).execute(args) : runCommand(args);
        }
        if (isHelp) {
            System.out.println(USAGE);
            return 0;
        }
        if (args.length > 1 || !List.of("", "serve").contains(command)) {
            System.err.println(USAGE);
            return 2;
        }
        if (command.equals("serve")) {
            serve();
        } else {
            tellStory(new PrintWriter(System.out, true));
        }
        return 0;
    }

    private static int runCommand(String... args) {
        List<String> all = new ArrayList<>(List.of(args));
        if (args[0].equals("create-branch") && all.stream().noneMatch(arg -> arg.startsWith("--env-file"))) {
            all.addAll(List.of("--env-file", ".env.sandbox"));
        }
        try (Sandbox sandbox = startWithOrphan()) {
            int exitCode = neonCi(sandbox, "feature/login", new PrintWriter(System.out, true), new PrintWriter(System.err, true),
                    all.toArray(String[]::new));
            System.err.println("The sandbox has ended, and its databases are deleted. '.ci/jbang sandbox serve' keeps it running.");
            return exitCode;
        }
    }

    private static void serve() throws InterruptedException {
        Sandbox sandbox = startWithOrphan();
        System.err.println("Paste these lines into another terminal, in this folder:");
        Map<String, String> exports = new TreeMap<>(sandbox.environment());
        // In a build the wrapper would start with an empty cache in this folder.
        exports.put("JBANG_DIR", System.getenv().getOrDefault("JBANG_DIR", System.getProperty("user.home") + "/.jbang"));
        exports.forEach((name, value) -> System.out.println("export " + name + "='" + value + "'"));
        System.err.println(SERVED);
        // Waits for this thread itself, until Ctrl-C.
        Thread.currentThread().join();
    }

    /** Starts a sandbox in which there is something to clean up. */
    private static Sandbox startWithOrphan() {
        System.err.println("Starting stand-ins for Neon, SSM and Amplify, and PostgreSQL.");
        Sandbox sandbox = Sandbox.start();
        sandbox.neon().add(SandboxAws.APP_ID + "-feature/old");
        return sandbox;
    }

    private static void tellStory(PrintWriter out) throws IOException, SQLException {
        out.println("Starting stand-ins for Neon, SSM and Amplify, and PostgreSQL. Links to the Neon Console lead nowhere here.");
        Path folder = Files.createTempDirectory("neon-ci-");
        try (Sandbox sandbox = Sandbox.start()) {
            out.println("\nAmplify builds main. With --production-branch main it uses production's own database:");
            String production = build(sandbox, "main", folder, out);
            require(production.equals(sandbox.neon().connectionString("production")), "main uses production's database");
            printCustomers("main", production, out);

            out.println("\nAmplify builds feature/login with the same command. It gets a copy:");
            String preview = build(sandbox, "feature/login", folder, out);
            printCustomers("feature/login", preview, out);

            out.println("\nfeature/login adds a customer. Production stays as it is:");
            SandboxPostgres.query(preview, "INSERT INTO customers (name) VALUES ('Dune Diner')");
            printCustomers("feature/login", preview, out);
            printCustomers("main", production, out);

            out.println("\nAmplify builds feature/login again. It keeps its database:");
            require(build(sandbox, "feature/login", folder, out).equals(preview), "the second build reuses the database of the first");
            printCustomers("feature/login", preview, out);

            out.println("\nfeature/login is deleted in Amplify. The clean-up of the next build lets its Neon branch expire in three days:");
            sandbox.aws().removeBranch("feature/login");
            show(sandbox, "main", folder, out, "cleanup-branches", "--grace", "3d");

            out.println("\nWithout --grace, a clean-up deletes it now:");
            show(sandbox, "main", folder, out, "cleanup-branches");
            out.println("\nThe Neon project has these branches left: " + String.join(", ", sandbox.neon().names()) + ".");
        }
        out.println("The .env files of the two builds are in " + folder + ". Their databases are deleted.");
    }

    /** Runs the command of every build, and returns the connection string that it wrote. */
    private static String build(Sandbox sandbox, String amplifyBranch, Path folder, PrintWriter out) throws IOException {
        Path ownFolder = Files.createDirectories(folder.resolve(amplifyBranch.replace('/', '-')));
        show(sandbox, amplifyBranch, ownFolder, out, "create-branch", "--production-branch", "main");
        String line = Files.readAllLines(ownFolder.resolve(".env")).get(0);
        return line.substring("DATABASE_URL=\"".length(), line.length() - 1);
    }

    /** Runs neon-ci as if in this folder, and prints the command and its output. */
    private static void show(Sandbox sandbox, String amplifyBranch, Path folder, PrintWriter out, String... args) {
        out.println("$ AWS_BRANCH=" + amplifyBranch + " .ci/jbang neon-ci.java " + String.join(" ", args));
        List<String> all = new ArrayList<>(List.of(args));
        if (args[0].equals("create-branch")) {
            all.addAll(List.of("--env-file", folder.resolve(".env").toString()));
        }
        StringWriter output = new StringWriter();
        PrintWriter writer = new PrintWriter(output, true);
        int exitCode = neonCi(sandbox, amplifyBranch, writer, writer, all.toArray(String[]::new));
        out.print(output.toString().replace(folder + "/", ""));
        out.flush();
        require(exitCode == 0, args[0] + " succeeds");
    }

    private static void printCustomers(String branch, String connectionString, PrintWriter out) throws SQLException {
        out.println("Customers in the database of " + branch + ": "
                + String.join(", ", SandboxPostgres.query(connectionString, "SELECT name FROM customers ORDER BY id")) + ".");
    }

    private static void require(boolean isTrue, String claim) {
        if (!isTrue) {
            throw new IllegalStateException("not true: " + claim);
        }
    }

    /** Runs neon-ci in this JVM with the variables of an Amplify build and no others, so that it never reaches a real account. */
    private static int neonCi(Sandbox sandbox, String amplifyBranch, PrintWriter out, PrintWriter err, String... args) {
        sandbox.systemProperties().forEach(System::setProperty);
        return NeonCi.commandLine(sandbox.environment(Map.of("AWS_BRANCH", amplifyBranch))).setOut(out).setErr(err).execute(args);
    }
}
