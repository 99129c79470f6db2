///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Try neon-ci against stand-ins for Neon and AWS with a real PostgreSQL on this machine
//RUNTIME_OPTIONS -XX:+UseSerialGC
//MAIN NeonCiSandbox
//SOURCES ../neon-ci.java
//SOURCES sandbox/Sandbox.java

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The sandbox as a program, for someone who has no Neon project and no AWS account: it tells the story of a branch, runs one command, or
 * stays up for commands from another terminal. The commands it runs are neon-ci's own.
 */
class NeonCiSandbox {

    private static final String USAGE = """
            Usage: .ci/jbang sandbox                           see a branch come and go
                   .ci/jbang sandbox create-branch [...]       run this command there; without --env-file it writes .env.sandbox
                   .ci/jbang sandbox cleanup-branches [...]    run this command there
                   .ci/jbang sandbox serve                     keep the sandbox up, for commands from another terminal""";

    /** What can be done from another terminal that has the variables of the sandbox. The pull request is one from feature/login. */
    private static final String SERVED = """

            Then, for instance, as in builds of feature/login and main:
              .ci/jbang neon-ci.java create-branch --production-branch main
              AWS_BRANCH=main .ci/jbang neon-ci.java create-branch --production-branch main
              .ci/jbang neon-ci.java cleanup-branches --dry-run
            Open a pull request, whose preview is the Amplify branch pr-1:
              aws amplify create-branch --region "$AWS_REGION" --app-id "$AWS_APP_ID" --branch-name pr-1 --stage PULL_REQUEST
              AWS_BRANCH=pr-1 .ci/jbang neon-ci.java create-branch --production-branch main
            Delete an Amplify branch:
              aws amplify delete-branch --region "$AWS_REGION" --app-id "$AWS_APP_ID" --branch-name feature/login
              AWS_BRANCH=main .ci/jbang neon-ci.java cleanup-branches
            Open and delete without the aws command:
              curl -fsS -o /dev/null "$AWS_ENDPOINT_URL_AMPLIFY/apps/$AWS_APP_ID/branches" -d '{"branchName":"pr-1","stage":"PULL_REQUEST"}'
              curl -fsS -o /dev/null "$AWS_ENDPOINT_URL_AMPLIFY/apps/$AWS_APP_ID/branches/feature%2Flogin" -X DELETE
            Ctrl-C ends the sandbox.""";

    public static void main(String... args) throws Exception {
        try {
            System.exit(run(args));
        } catch (Exception e) {
            // After Ctrl-C the clouds are gone from under whatever was being done, and that is no news.
            if (!isEnding()) {
                throw e;
            }
        }
    }

    private static boolean isEnding() {
        Thread nothing = new Thread();
        try {
            Runtime.getRuntime().addShutdownHook(nothing);
            Runtime.getRuntime().removeShutdownHook(nothing);
            return false;
        } catch (IllegalStateException e) {
            return true;
        }
    }

    private static int run(String... args) throws Exception {
        String command = args.length == 0 ? "" : args[0];
        List<String> rest = List.of(args).subList(Math.min(1, args.length), args.length);
        boolean isAskedForHelp = List.of(args).contains("--help") || List.of(args).contains("-h");
        if (List.of("create-branch", "cleanup-branches").contains(command)) {
            return isAskedForHelp ? NeonCi.commandLine(Map.of()).execute(args) : runCommand(args);
        }
        if (isAskedForHelp) {
            System.out.println(USAGE);
            return 0;
        }
        if (!rest.isEmpty() || !List.of("", "serve").contains(command)) {
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
            System.err.println("The sandbox and its databases are gone now; '.ci/jbang sandbox serve' keeps them up.");
            return exitCode;
        }
    }

    private static void serve() throws InterruptedException {
        Sandbox sandbox = startWithOrphan();
        System.err.println("Paste these lines into another terminal, in the folder of this one:");
        new TreeMap<>(sandbox.environment()).forEach((name, value) -> System.out.println("export " + name + "='" + value + "'"));
        System.err.println(SERVED);
        // Waits for a thread that never ends, its own. PostgreSQL is stopped and deleted on the JVM's way out.
        Thread.currentThread().join();
    }

    /** Starts a sandbox in which there is something to clean up. */
    private static Sandbox startWithOrphan() {
        System.err.println("Starting stand-ins for Neon, SSM and Amplify, and PostgreSQL.");
        Sandbox sandbox = Sandbox.start();
        sandbox.neon().add(SandboxAws.APP_ID + "-feature/old");
        return sandbox;
    }

    /** Runs the story of one branch and shows it. Throws IllegalStateException if it does not go as it is told. */
    private static void tellStory(PrintWriter out) throws IOException, SQLException {
        out.println("Starting stand-ins for Neon, SSM and Amplify, and PostgreSQL.");
        Path folder = Files.createTempDirectory("neon-ci-");
        try (Sandbox sandbox = Sandbox.start()) {
            tellOfBuilds(sandbox, folder, out);
            tellOfCleanUp(sandbox, out);
        }
        out.println("The env files are left to look at, though their databases are gone: " + folder);
    }

    private static void tellOfBuilds(Sandbox sandbox, Path folder, PrintWriter out) throws IOException, SQLException {
        out.println("\nAmplify builds main, the production branch. It is to use production's database itself:");
        String production = build(sandbox, "main", folder.resolve("main.env"), out);
        require(production.equals(sandbox.neon().connectionString("production")), "main uses production's database");
        out.println("main has " + customers(production) + ".");

        out.println("\nThe same line gives feature/login, when that is built, a Neon branch of its own, a copy of production's:");
        String preview = build(sandbox, "feature/login", folder.resolve("login.env"), out);
        out.println("feature/login has " + customers(preview) + ".");

        out.println("\nA customer added to the copy is not added to production:");
        SandboxPostgres.query(preview, "INSERT INTO customers (name) VALUES ('Dune Diner')");
        out.println("feature/login has " + customers(preview) + ".");
        out.println("main has " + customers(production) + ".");

        out.println("\nThe next build of feature/login finds its Neon branch as it was left:");
        String again = build(sandbox, "feature/login", folder.resolve("login.env"), out);
        require(again.equals(preview), "the second build got the database of the first");
        out.println("feature/login has " + customers(preview) + ".");
    }

    private static void tellOfCleanUp(Sandbox sandbox, PrintWriter out) {
        out.println("\nThen feature/login is deleted in Amplify. The next build of main lets its Neon branch expire:");
        sandbox.aws().removeBranch("feature/login");
        show(sandbox, out, "main", "cleanup-branches", "--grace", "3d");

        out.println("\nWithout --grace it is deleted at once:");
        show(sandbox, out, "main", "cleanup-branches");
        out.println("\nThe Neon project is left with: " + String.join(", ", sandbox.neon().names()) + ".");
    }

    /** Runs the line that serves all branches, and returns the connection string that it wrote. */
    private static String build(Sandbox sandbox, String amplifyBranch, Path envFile, PrintWriter out) throws IOException {
        show(sandbox, out, amplifyBranch, "create-branch", "--production-branch", "main", "--env-file", envFile.toString());
        return databaseUrl(envFile);
    }

    private static void show(Sandbox sandbox, PrintWriter out, String amplifyBranch, String... args) {
        out.println("$ AWS_BRANCH=" + amplifyBranch + " .ci/jbang neon-ci.java " + String.join(" ", args));
        require(neonCi(sandbox, amplifyBranch, out, out, args) == 0, args[0] + " succeeded");
    }

    private static void require(boolean truth, String claim) {
        if (!truth) {
            throw new IllegalStateException("the story is not true: it is not so that " + claim);
        }
    }

    /** Runs neon-ci in this JVM, with the variables of an Amplify build of this branch and no others: nothing real is ever reached. */
    private static int neonCi(Sandbox sandbox, String amplifyBranch, PrintWriter out, PrintWriter err, String... args) {
        sandbox.systemProperties().forEach(System::setProperty);
        return NeonCi.commandLine(sandbox.environment(Map.of("AWS_BRANCH", amplifyBranch))).setOut(out).setErr(err).execute(args);
    }

    private static String databaseUrl(Path envFile) throws IOException {
        for (String line : Files.readAllLines(envFile)) {
            if (line.startsWith("DATABASE_URL=")) {
                return line.substring(line.indexOf('"') + 1, line.lastIndexOf('"'));
            }
        }
        throw new IllegalStateException("there is no DATABASE_URL in " + envFile);
    }

    private static String customers(String connectionString) throws SQLException {
        return String.join(", ", SandboxPostgres.query(connectionString, "SELECT name FROM customers ORDER BY id"));
    }
}
