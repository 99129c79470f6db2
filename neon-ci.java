///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Gives every AWS Amplify branch its own Neon Postgres branch

// A run lives for a second. It begins with a small heap, which keeps it small at no cost in time, compiles each method once and quickly
// (a machine that is no server also gets the collector that starts fastest, unless the user has chosen another), and lets what the JVM
// has to say go to stderr, since stdout is ours.
//RUNTIME_OPTIONS -Xms24m -XX:TieredStopAtLevel=1 -XX:+NeverActAsServerClassMachine -Xlog:disable -Xlog:all=error:stderr

// The compiler's own JVM is tuned likewise; strings that are put together without a call to the runtime's linker start faster.
//COMPILE_OPTIONS -encoding UTF-8 -XDstringConcat=inline -J-XX:TieredStopAtLevel=1 -J-XX:+NeverActAsServerClassMachine

// The order counts: JBang lets the first that names a version of something decide for all.
//DEPS org.slf4j:slf4j-nop:2.0.20
//DEPS info.picocli:picocli:4.7.7
//DEPS com.fasterxml.jackson.core:jackson-databind:2.23.0
//DEPS software.amazon.awssdk:url-connection-client:2.40.2
//DEPS software.amazon.awssdk:ssm:2.40.2
//DEPS software.amazon.awssdk:amplify:2.40.2

// Each by its name, for a pattern would not be found behind a URL or in a catalog.
//SOURCES lib/Aws.java
//SOURCES lib/BranchName.java
//SOURCES lib/CleanupPlan.java
//SOURCES lib/Deadline.java
//SOURCES lib/EnvFile.java
//SOURCES lib/Failure.java
//SOURCES lib/Http.java
//SOURCES lib/InParallel.java
//SOURCES lib/NeonApi.java
//SOURCES lib/Secret.java
//SOURCES lib/SharedOptions.java

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Gives every AWS Amplify Hosting branch its own Neon Postgres branch. {@code create-branch} makes it and writes its connection strings
 * to an env file; {@code cleanup-branches} deletes the Neon branches of this app whose Amplify branch is gone.
 *
 * <p>Both go one way: read the options, read the clouds, decide, act, and say what was done. What was done goes to stdout, trouble and
 * waiting to stderr; no secret goes to either.
 */
@Command(name = "neon-ci", version = "neon-ci 1.0.0", mixinStandardHelpOptions = true, scope = ScopeType.INHERIT,
        description = "Gives every AWS Amplify branch its own Neon Postgres branch.",
        subcommands = {CreateBranch.class, CleanupBranches.class},
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:something failed: Neon, AWS or the env file", "2:the command line is wrong"})
class NeonCi implements Callable<Integer> {

    final Map<String, String> environment;

    @Spec
    private CommandSpec command;

    private NeonCi(Map<String, String> environment) {
        this.environment = environment;
    }

    public static void main(String... args) {
        // The first call of an AWS client takes longer than all the rest; most of that can be done while the command line is read.
        Thread early = new Thread(Aws::warmUpParameter);
        early.setDaemon(true);
        early.start();
        int exitCode = commandLine(System.getenv()).execute(args);
        if (System.out.checkError()) {
            System.err.println("neon-ci: Could not say on stdout what was done: it is full or closed; mend this and run again.");
            exitCode = Math.max(exitCode, CommandLine.ExitCode.SOFTWARE);
        }
        if (exitCode == CommandLine.ExitCode.SOFTWARE) {
            // A command that was to give credentials may hang.
            ProcessHandle.current().descendants().forEach(ProcessHandle::destroy);
        }
        System.exit(exitCode);
    }

    /**
     * Returns the command line, whose {@code execute} returns the exit code.
     *
     * @param environment the variables that options fall back to
     */
    static CommandLine commandLine(Map<String, String> environment) {
        return new CommandLine(new NeonCi(environment))
                .setDefaultValueProvider(new SharedOptions.Defaults(environment))
                .setExpandAtFiles(false)
                .setAllowOptionsAsOptionParameters(false)
                .registerConverter(int.class, SharedOptions::wholeNumber)
                .registerConverter(boolean.class, SharedOptions::flag)
                .registerConverter(SharedOptions.Output.class, SharedOptions::output)
                .setUsageHelpWidth(110)
                .setExecutionStrategy(NeonCi::runInTime)
                .setParameterExceptionHandler((e, args) -> {
                    CommandLine command = e.getCommandLine();
                    // What was not understood may be a secret, so only the name of an option is repeated.
                    String message = e instanceof UnmatchedArgumentException unmatched ? unmatched(unmatched)
                            : e instanceof MissingParameterException missing ? withoutValue(missing)
                            : e.getMessage().endsWith(".") ? e.getMessage() : e.getMessage() + ".";
                    printError(command, message + " See '" + command.getCommandSpec().qualifiedName() + " --help'.");
                    return CommandLine.ExitCode.USAGE;
                })
                .setExecutionExceptionHandler((e, command, result) -> {
                    if (e instanceof Failure) {
                        printError(command, e.getMessage());
                        return CommandLine.ExitCode.SOFTWARE;
                    }
                    throw e;
                });
    }

    @Override
    public Integer call() {
        command.commandLine().usage(command.commandLine().getErr());
        return CommandLine.ExitCode.USAGE;
    }

    /** Runs the command, and gives it up when something holds it up for longer than it may take, be it an answer that never ends. */
    private static int runInTime(ParseResult parsed) {
        if (!parsed.hasSubcommand()) {
            return new CommandLine.RunLast().execute(parsed);
        }
        FutureTask<Integer> task = new FutureTask<>(() -> new CommandLine.RunLast().execute(parsed));
        CommandSpec command = parsed.subcommand().commandSpec();
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
        try {
            thread.join(((SharedOptions) command.mixins().get("shared").userObject()).longestRun().toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (task.isDone()) {
            return InParallel.await(task);
        }
        thread.interrupt();
        printError(command.commandLine(), "Something took longer than --wait allows, so the run was given up; run again, which goes on"
                + " where this run stopped, or give it longer with --wait.");
        return CommandLine.ExitCode.SOFTWARE;
    }

    private static String withoutValue(MissingParameterException e) {
        return e.getMissing().get(0) instanceof OptionSpec option
                ? "Option '" + option.names()[0] + "' needs a value; one that begins with a hyphen needs an equals sign before it."
                : "There is an argument too few.";
    }

    private static String unmatched(UnmatchedArgumentException e) {
        String argument = e.getUnmatched().get(0);
        Matcher known = Pattern.compile("--[a-z-]+|-[A-Za-z]").matcher(argument);
        if (!known.lookingAt()) {
            return argument.startsWith("-") ? "There is an unknown option."
                    : "There is an argument too many; a value with spaces needs quotes.";
        }
        String option = known.group();
        List<String> likely = option.startsWith("--") ? e.getSuggestions() : List.of();
        String likeliest = likely.stream().filter(name -> name.startsWith(option)).findFirst().or(() -> likely.stream().findFirst())
                .map(name -> "; did you mean '" + name + "'?").orElse(".");
        return "Unknown option '" + option + "'" + likeliest;
    }

    private static void printError(CommandLine command, String message) {
        command.getErr().println(command.getColorScheme().errorText("neon-ci: " + Secret.oneLine(message)));
    }
}

@Command(name = "create-branch",
        description = "Makes the Neon branch of an Amplify branch if it is not there, waits until it can be connected to, and writes its"
                + " connection strings to .env.")
class CreateBranch implements Callable<Integer> {

    private static final Duration LONGEST_LIFE = Duration.ofDays(30);

    /** Roles that Neon itself makes, and no application connects as. */
    private static final Set<String> NEONS_OWN_ROLES = Set.of("authenticator", "anonymous", "authenticated");

    private static final String USUAL_ROLE = "neondb_owner";
    private static final String USUAL_DATABASE = "neondb";

    @Mixin
    private SharedOptions shared;

    @Option(names = "--branch-name", paramLabel = "NAME",
            description = "Amplify branch. Required. Default: $AWS_BRANCH.")
    private String amplifyBranch;

    @Option(names = {"--parent-branch", "--parent-branch-id"}, paramLabel = "BRANCH",
            description = "Neon branch to branch from, by name or br-... id. Default: the project's default branch.")
    private String parentBranch;

    @Option(names = "--role-name", paramLabel = "NAME",
            description = "Role to connect as. Default: " + USUAL_ROLE + ", or the only role.")
    private String roleName;

    @Option(names = "--database-name", paramLabel = "NAME",
            description = "Database to connect to. Default: " + USUAL_DATABASE + ", or the only database.")
    private String databaseName;

    @Option(names = "--suspend-timeout", paramLabel = "SECONDS", defaultValue = "0",
            description = "Idle seconds after which the new compute is suspended, 60 to 604800; 0 for Neon's default, -1 for never."
                    + " Default: ${DEFAULT-VALUE}.")
    private int suspendTimeout;

    @Option(names = "--expires-in", paramLabel = "TIME", converter = SharedOptions.TimeSpan.class,
            description = "Let Neon delete the branch after this time, such as 12h or 7d, at most 30d; each run starts it anew."
                    + " Default: never.")
    private Duration expiresIn;

    @Option(names = "--schema-only", description = "Branch the parent's schema without its data.")
    private boolean schemaOnly;

    @Option(names = "--reset", description = "If the branch exists, reset it to its parent's current state; its own data is lost.")
    private boolean reset;

    @Option(names = "--env-file", paramLabel = "FILE", defaultValue = ".env",
            description = "Env file to write, repeatable. Default: ${DEFAULT-VALUE}.")
    private List<String> envFiles;

    @Option(names = "--env-var", paramLabel = "NAME", defaultValue = "DATABASE_URL",
            description = "Variable for the pooled connection string; the direct one, for migrations, goes to NAME_UNPOOLED."
                    + " Default: ${DEFAULT-VALUE}.")
    private String envVar;

    private final InParallel inParallel = new InParallel();
    private NeonApi neon;
    private List<NeonApi.Branch> branches;
    private String name;

    @Override
    public Integer call() {
        check();
        envFiles.forEach(file -> envFile(file).check(List.of(envVar, unpooledVar()), !shared.dryRun));
        name = BranchName.of(shared.appId, amplifyBranch);
        neon = shared.neon(inParallel);
        branches = neon.listProjectBranches();
        Optional<NeonApi.Branch> existing = branches.stream().filter(branch -> branch.name().equals(name)).findFirst();
        return shared.dryRun ? dryRun(existing) : run(existing);
    }

    private int run(Optional<NeonApi.Branch> existing) {
        Optional<NeonApi.NewBranch> made = existing.isPresent() ? Optional.empty() : create(parent());
        NeonApi.Branch branch = made.map(NeonApi.NewBranch::branch).or(() -> existing).or(() -> neon.findBranch(name))
                .orElseThrow(() -> new Failure("Neon branch '" + name + "' was deleted while it was set up; run again."));
        Map<String, Secret> entries = made.isPresent() ? connect(made.get()) : reuse(branch);
        envFiles.forEach(file -> envFile(file).write(entries));
        shared.say("Wrote " + String.join(" and ", entries.keySet()) + " to " + fileNames() + ".");
        report(branch.id(), branch.parentId(), made.isPresent(),
                expiresIn == null || made.isPresent() ? branch.expiresAt() : expiresAt().toString());
        return CommandLine.ExitCode.OK;
    }

    /** Does all that changes nothing, and says the rest. */
    private int dryRun(Optional<NeonApi.Branch> existing) {
        NeonApi.Branch source = existing.orElseGet(this::parent);
        NeonApi.Login login = login(source);
        String doing = existing.isEmpty() ? "create Neon branch '" + name + "' from '" + source.name() + "'"
                : (reset ? "reset" : "reuse") + " Neon branch '" + name + "' (" + source.id() + ")";
        shared.say("Would " + doing + ", and write the connection strings of role '" + login.role() + "' and database '"
                + login.database() + "' to " + fileNames() + ".");
        report(existing.map(NeonApi.Branch::id).orElse(null), existing.isPresent() ? source.parentId() : source.id(), false,
                expiresIn == null ? existing.map(NeonApi.Branch::expiresAt).orElse(null) : expiresAt().toString());
        return CommandLine.ExitCode.OK;
    }

    private Optional<NeonApi.NewBranch> create(NeonApi.Branch parent) {
        // A name the user gave may be wrong, and then nothing is created. Neon's usual names are not worth a request more.
        if (roleName != null || databaseName != null) {
            login(parent);
        }
        Optional<NeonApi.NewBranch> made = neon.createProjectBranch(new NeonApi.BranchRequest(name, parent.id(), schemaOnly,
                expiresIn == null ? null : expiresAt(), suspendTimeout, origin()));
        made.ifPresent(created -> shared.say("Created " + named(created.branch()) + " from '" + parent.name() + "'."));
        return made;
    }

    private Map<String, Secret> connect(NeonApi.NewBranch made) {
        NeonApi.Branch branch = made.branch();
        neon.awaitReady(branch, made.operations());
        if (!made.hasCompute()) {
            neon.awaitReady(branch, neon.createProjectEndpoint(branch.id(), suspendTimeout));
        }
        return entries(branch, chooseLogin(branch, made.roles(), made.databases()));
    }

    private Map<String, Secret> reuse(NeonApi.Branch branch) {
        Optional<String> parent = branches.stream().filter(other -> other.id().equals(branch.parentId())).map(NeonApi.Branch::name).findFirst();
        shared.say("Reusing " + named(branch) + parent.map(from -> ", made from '" + from + "'").orElse("") + ".");
        neon.awaitReady(branch, List.of());
        if (reset) {
            if (branch.parentId() == null) {
                throw new Failure("Could not reset Neon branch '" + branch.name() + "': it has no parent; run without --reset.");
            }
            neon.awaitReady(branch, neon.restoreProjectBranch(branch.id(), branch.parentId()));
            shared.say("Reset it to the current state of '" + parent.orElse(branch.parentId()) + "'; its own data is gone.");
        }
        if (expiresIn != null) {
            neon.updateProjectBranch(branch.id(), expiresAt());
        }
        Future<Boolean> hasCompute = inParallel.start(() -> neon.hasReadWriteCompute(branch.id()));
        NeonApi.Login login = login(branch);
        if (!InParallel.await(hasCompute)) {
            neon.awaitReady(branch, neon.createProjectEndpoint(branch.id(), suspendTimeout));
        }
        return entries(branch, login);
    }

    private Map<String, Secret> entries(NeonApi.Branch branch, NeonApi.Login login) {
        Future<Secret> direct = inParallel.start(() -> neon.getConnectionURI(branch.id(), login, false));
        Map<String, Secret> entries = new LinkedHashMap<>();
        entries.put(envVar, neon.getConnectionURI(branch.id(), login, true));
        entries.put(unpooledVar(), InParallel.await(direct));
        return entries;
    }

    private NeonApi.Branch parent() {
        // A name can look like an id.
        return branches.stream().filter(branch -> parentBranch == null ? branch.isDefault() : branch.id().equals(parentBranch)).findFirst()
                .or(() -> branches.stream().filter(branch -> branch.name().equals(parentBranch)).findFirst())
                .orElseThrow(() -> new Failure("Neon project " + shared.projectId + " has no "
                        + (parentBranch == null ? "default branch" : "branch '" + parentBranch + "'")
                        + " to branch from; check --parent-branch and --neon-project-id."));
    }

    private NeonApi.Login login(NeonApi.Branch branch) {
        Future<List<String>> databases = inParallel.start(() -> neon.listProjectBranchDatabases(branch.id()));
        return chooseLogin(branch, neon.listProjectBranchRoles(branch.id()), InParallel.await(databases));
    }

    private NeonApi.Login chooseLogin(NeonApi.Branch branch, List<String> roles, List<String> databases) {
        return new NeonApi.Login(choose(roleName, USUAL_ROLE, roles, "role", "--role-name", branch),
                choose(databaseName, USUAL_DATABASE, databases, "database", "--database-name", branch));
    }

    /** Returns the given name, else the usual one, else the only one that an application may use. */
    private static String choose(String given, String usual, List<String> there, String what, String option, NeonApi.Branch branch) {
        String wanted = given == null ? usual : given;
        List<String> usable = there.stream().filter(name -> !NEONS_OWN_ROLES.contains(name)).sorted().toList();
        if (there.contains(wanted)) {
            return wanted;
        }
        if (given == null && usable.size() == 1) {
            return usable.get(0);
        }
        String list = usable.isEmpty() ? "it has none; make one in the Neon Console"
                : "it has '" + String.join("', '", usable) + "'; name one of them with " + option;
        throw new Failure("Could not choose a " + what + " of Neon branch '" + branch.name() + "': "
                + (given == null ? "" : "there is no '" + given + "', ") + list + ".");
    }

    /** What a reader of the Neon Console wants to know of a branch. */
    private Map<String, String> origin() {
        Map<String, String> origin = new LinkedHashMap<>();
        origin.put("amplify-app-id", shared.appId);
        origin.put("amplify-branch", amplifyBranch);
        Map.of("amplify-commit-id", "AWS_COMMIT_ID", "amplify-job-id", "AWS_JOB_ID", "amplify-pull-request-id", "AWS_PULL_REQUEST_ID")
                .forEach((key, variable) -> {
                    if (shared.variable(variable) != null) {
                        origin.put(key, shared.variable(variable));
                    }
                });
        return origin;
    }

    private void check() {
        shared.check();
        shared.require(amplifyBranch, "--branch-name");
        shared.matching("[A-Za-z_][A-Za-z0-9_]*", envVar, "--env-var", "must be the name of a variable, such as DATABASE_URL");
        if (suspendTimeout != 0 && suspendTimeout != -1 && (suspendTimeout < 60 || suspendTimeout > 604_800)) {
            throw shared.usage("Invalid value for option '--suspend-timeout': it must be 0, -1, or 60 to 604800 seconds.");
        }
        if (expiresIn != null && expiresIn.compareTo(LONGEST_LIFE) > 0) {
            throw shared.usage("Invalid value for option '--expires-in': Neon takes at most 30d.");
        }
    }

    private String unpooledVar() {
        return envVar + "_UNPOOLED";
    }

    /** Neon takes whole seconds. */
    private Instant expiresAt() {
        return shared.start.plus(expiresIn).truncatedTo(ChronoUnit.SECONDS);
    }

    private static EnvFile envFile(String file) {
        return new EnvFile(Path.of(file));
    }

    private String fileNames() {
        return String.join(", ", envFiles);
    }

    private static String named(NeonApi.Branch branch) {
        return "Neon branch '" + branch.name() + "' (" + branch.id() + ")";
    }

    private void report(String id, String parentId, boolean isCreated, String expiresAt) {
        ObjectNode report = Http.JSON.createObjectNode();
        report.putObject("branch").put("id", id).put("name", name).put("parent", parentId).put("created", isCreated)
                .put("expires_at", expiresAt);
        envFiles.forEach(file -> report.withArray("env_files").add(file));
        shared.report(report);
    }
}

@Command(name = "cleanup-branches",
        description = "Deletes the Neon branches of this Amplify app whose Amplify branch is gone. Only branches named <app-id>-... are"
                + " looked at; live, default, protected and parent branches stay. Deletion is permanent.")
class CleanupBranches implements Callable<Integer> {

    @Mixin
    private SharedOptions shared;

    @Option(names = "--keep", paramLabel = "GLOB",
            description = "Amplify branches whose Neon branches stay in any case, such as 'release/*'; repeatable. main and dev always"
                    + " stay.")
    private List<String> keep = List.of();

    @Option(names = "--max-deletions", paramLabel = "N", defaultValue = "20",
            description = "Delete nothing at all if it would be more than this. Default: ${DEFAULT-VALUE}.")
    private int maxDeletions;

    private final InParallel inParallel = new InParallel();

    @Override
    public Integer call() {
        shared.check();
        if (maxDeletions < 0) {
            throw shared.usage("Invalid value for option '--max-deletions': it must not be negative.");
        }
        inParallel.start(() -> {
            Aws.warmUpBranches();
            return null;
        });
        NeonApi neon = shared.neon(inParallel);
        // Neon first: a branch that is born while the lists are read is then not taken for an orphan.
        List<NeonApi.Branch> neonBranches = neon.listProjectBranches();
        List<Aws.AmplifyBranch> amplifyBranches = shared.aws().branches(shared.appId);
        CleanupPlan plan = CleanupPlan.of(shared.appId, neonBranches, amplifyBranches, ownBranch(), keep);
        sayPlan(plan);
        if (!shared.dryRun) {
            plan.requireAtMost(maxDeletions);
        }
        Map<NeonApi.Branch, String> failed = shared.dryRun ? Map.of() : delete(neon, plan);
        report(plan, failed);
        if (shared.dryRun) {
            plan.requireAtMost(maxDeletions);
        }
        if (!failed.isEmpty()) {
            throw new Failure(failed.size() + " of " + plan.delete().size() + " orphans could not be deleted; run again later.");
        }
        return CommandLine.ExitCode.OK;
    }

    /** The build's own branch must be in Amplify's list, if the build is one of the app that is cleaned up. */
    private String ownBranch() {
        return shared.appId.equals(shared.variable("AWS_APP_ID")) ? shared.variable("AWS_BRANCH") : null;
    }

    private void sayPlan(CleanupPlan plan) {
        List<CleanupPlan.Kept> live = plan.kept().stream().filter(kept -> kept.reason().equals(CleanupPlan.LIVE)).toList();
        plan.kept().stream().filter(kept -> !live.contains(kept))
                .forEach(kept -> shared.say("Keeping '" + kept.branch().name() + "': " + kept.reason() + "."));
        shared.say("Neon branches of app " + shared.appId + ": " + live.size() + " with an Amplify branch, "
                + (plan.kept().size() - live.size()) + " kept, " + plan.delete().size() + " orphaned.");
        if (shared.dryRun) {
            plan.delete().forEach(branch -> shared.say("Would delete " + named(branch) + "."));
        }
    }

    /** Returns the branches that could not be deleted, and why. */
    private Map<NeonApi.Branch, String> delete(NeonApi neon, CleanupPlan plan) {
        Map<String, List<Future<String>>> children = new HashMap<>();
        Map<NeonApi.Branch, Future<String>> deletions = new LinkedHashMap<>();
        for (NeonApi.Branch branch : plan.delete()) {
            // Children stand before their parents and so begin first: a parent that waits for them cannot keep them from it.
            List<Future<String>> before = children.getOrDefault(branch.id(), List.of());
            Future<String> deletion = inParallel.start(() -> delete(neon, branch, before));
            deletions.put(branch, deletion);
            children.computeIfAbsent(branch.parentId(), parent -> new ArrayList<>()).add(deletion);
        }
        Map<NeonApi.Branch, String> failed = new LinkedHashMap<>();
        deletions.forEach((branch, deletion) -> {
            String error = InParallel.await(deletion);
            if (error == null) {
                shared.say("Deleted " + named(branch) + ".");
            } else {
                failed.put(branch, error);
                shared.warn(error);
            }
        });
        return failed;
    }

    /** Returns null, or why the branch is still there. */
    private static String delete(NeonApi neon, NeonApi.Branch branch, List<Future<String>> children) {
        for (Future<String> child : children) {
            if (InParallel.await(child) != null) {
                return "Did not delete " + named(branch) + ": one of its child branches is still there.";
            }
        }
        try {
            neon.deleteProjectBranch(branch);
            return null;
        } catch (Failure e) {
            return e.getMessage();
        }
    }

    private static String named(NeonApi.Branch branch) {
        return "'" + branch.name() + "' (" + branch.id() + ")";
    }

    private void report(CleanupPlan plan, Map<NeonApi.Branch, String> failed) {
        ObjectNode report = Http.JSON.createObjectNode();
        for (String list : List.of("deleted", "kept", "failed")) {
            report.putArray(list);
        }
        plan.delete().stream().filter(branch -> !failed.containsKey(branch)).forEach(branch -> add(report, "deleted", branch));
        plan.kept().forEach(kept -> add(report, "kept", kept.branch()).put("reason", kept.reason()));
        failed.forEach((branch, error) -> add(report, "failed", branch).put("error", error));
        shared.report(report);
    }

    private static ObjectNode add(ObjectNode report, String list, NeonApi.Branch branch) {
        return report.withArray(list).addObject().put("id", branch.id()).put("name", branch.name());
    }
}
