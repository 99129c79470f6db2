///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//DESCRIPTION Gives every AWS Amplify branch its own Neon Postgres branch

// A run lives for a second. It begins with a small heap, which keeps it small at no cost in time, compiles each method once and quickly
// (a machine that is no server also gets the collector that starts fastest, unless the user has chosen another), does not prove the
// bytecode of the compiler and of the libraries once more, a seventh of its time, and lets what the JVM has to say go to stderr, since
// stdout is ours. A Java that does not know one of these runs without it.
//RUNTIME_OPTIONS -XX:+IgnoreUnrecognizedVMOptions -Xms24m -XX:TieredStopAtLevel=1 -XX:+NeverActAsServerClassMachine
//RUNTIME_OPTIONS -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote -Xlog:disable -Xlog:all=error:stderr

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
//SOURCES lib/AwsRefusal.java
//SOURCES lib/BranchName.java
//SOURCES lib/CleanupPlan.java
//SOURCES lib/CleanupReport.java
//SOURCES lib/ConnectionString.java
//SOURCES lib/Deadline.java
//SOURCES lib/EnvEntries.java
//SOURCES lib/EnvFile.java
//SOURCES lib/Failure.java
//SOURCES lib/GitBranch.java
//SOURCES lib/Http.java
//SOURCES lib/InParallel.java
//SOURCES lib/Login.java
//SOURCES lib/MaskingRules.java
//SOURCES lib/NeonApi.java
//SOURCES lib/Network.java
//SOURCES lib/Protection.java
//SOURCES lib/Removal.java
//SOURCES lib/Secret.java
//SOURCES lib/SharedOptions.java
//SOURCES lib/UsageError.java
//SOURCES lib/Variables.java

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

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
        Thread early = new Thread(() -> Aws.warmUp(aws -> aws.parameter("none")));
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
                    printError(command, UsageError.sentence(e) + " See '" + command.getCommandSpec().qualifiedName() + " --help'.");
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

    private static void printError(CommandLine command, String message) {
        command.getErr().println(command.getColorScheme().errorText("neon-ci: " + Secret.oneLine(message)));
    }
}

@Command(name = "create-branch",
        description = "Makes the Neon branch of an Amplify branch if it is not there, waits until it can be connected to, and writes its"
                + " connection strings to .env.")
class CreateBranch implements Callable<Integer> {

    @Mixin
    private SharedOptions shared;

    @Option(names = "--branch-name", paramLabel = "NAME",
            description = "Amplify branch. Required. Default: $AWS_BRANCH, or outside a build the Git branch that is checked out.")
    private String amplifyBranch;

    @Option(names = {"--parent-branch", "--parent-branch-id"}, paramLabel = "BRANCH",
            description = "Neon branch to branch from, by name or br-... id. Default: the project's default branch.")
    private String parentBranch;

    @Option(names = "--role-name", paramLabel = "NAME",
            description = "Role to connect as. Default: " + Login.USUAL_ROLE + ", or the only role.")
    private String roleName;

    @Option(names = "--database-name", paramLabel = "NAME",
            description = "Database to connect to. Default: " + Login.USUAL_DATABASE + ", or the only database.")
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

    @Option(names = "--masking-rules", paramLabel = "FILE",
            description = "Let Neon mask a new branch's rows, by the JSON rules in this file, before anyone can connect (beta at Neon).")
    private String maskingRules;

    @Option(names = "--reset", description = "If the branch exists, reset it to its parent's current state; its own data is lost.")
    private boolean reset;

    @Option(names = "--env-file", paramLabel = "FILE", defaultValue = ".env",
            description = "Env file to write, repeatable. Default: ${DEFAULT-VALUE}.")
    private List<String> envFiles;

    @Option(names = "--env-var", paramLabel = "NAME", defaultValue = "DATABASE_URL",
            description = "Variable for the pooled connection string. Default: ${DEFAULT-VALUE}.")
    private String envVar;

    @Option(names = "--unpooled-env-var", paramLabel = "NAME",
            description = "Variable for the direct connection string, which migrations want. Default: that of --env-var with _UNPOOLED.")
    private String unpooledEnvVar;

    private final InParallel inParallel = new InParallel();

    private Variables variables;

    /** Null for a branch that is not to be masked. */
    private ArrayNode rules;

    private NeonApi neon;
    private List<NeonApi.Branch> branches;
    private NeonApi.Branch parent;

    @Override
    public Integer call() {
        check();
        // Production's own database is never masked.
        rules = maskingRules == null || isProduction() ? null : MaskingRules.read(maskingRules);
        variables.requireRead(envFiles);
        envFiles.forEach(file -> new EnvFile(Path.of(file)).check(variables.names()));
        neon = shared.neon(inParallel);
        branches = neon.listProjectBranches();
        parent = parent();
        String name = isProduction() ? parent.name() : BranchName.of(shared.appId, amplifyBranch);
        Optional<NeonApi.Branch> existing = isProduction() ? Optional.of(parent) : byName(name);
        existing.ifPresentOrElse(this::requireUsable, variables::requireUnset);
        if (shared.dryRun) {
            dryRun(name, existing);
        } else {
            run(name, existing);
        }
        return CommandLine.ExitCode.OK;
    }

    private void run(String name, Optional<NeonApi.Branch> existing) {
        Optional<NeonApi.NewBranch> made = existing.isPresent() ? Optional.empty() : create(name);
        NeonApi.Branch branch = made.map(NeonApi.NewBranch::branch).or(() -> existing).or(() -> neon.findBranch(name))
                .orElseThrow(() -> new Failure("Neon branch '" + name + "' was deleted while it was set up; run again."));
        Map<String, Secret> entries = made.isPresent() ? connect(made.get()) : isProduction() ? use(branch) : reuse(branch);
        envFiles.forEach(file -> new EnvFile(Path.of(file)).write(entries));
        shared.say("Wrote " + String.join(" and ", entries.keySet()) + " to " + String.join(", ", envFiles) + ".");
        report(branch, made.isPresent(), made.isPresent() ? branch.expiresAt() : expiry(branch));
    }

    /** Does all that changes nothing, and says the rest. */
    private void dryRun(String name, Optional<NeonApi.Branch> existing) {
        NeonApi.Branch source = existing.orElse(parent);
        Login login = login(source);
        Optional<NeonApi.Masking> masking = existing.flatMap(this::masking);
        boolean isMasked = masking.isEmpty() || masking.get().isDone();
        if (existing.isPresent() && isMasked && variables.isAnySet()) {
            entries(source, compute(source), login);
        }
        boolean isReset = existing.isPresent() && resetSource(source).isPresent();
        String doing = isProduction() ? "use " + named(source) + " itself"
                : existing.isPresent() ? (isReset ? "reset " : "reuse ") + named(source)
                : "create Neon branch '" + name + "' from '" + source.name() + "'" + (rules == null ? "" : ", mask it");
        shared.say("Would " + doing + ", and write the connection strings of role '" + login.role() + "' and database '"
                + login.database() + "' to " + String.join(", ", envFiles) + ".");
        NeonApi.Branch planned = existing.orElse(planned(name));
        report(planned, false, expiry(planned));
    }

    private Optional<NeonApi.NewBranch> create(String name) {
        // A name the user gave may be wrong, and then nothing is created. Neon's usual names are not worth a request more.
        if (roleName != null || databaseName != null) {
            login(parent);
        }
        String expiresAt = expiry(planned(name));
        var request = new NeonApi.BranchRequest(name, parent.id(), schemaOnly, expiresAt, suspendTimeout, origin());
        Optional<NeonApi.NewBranch> made = rules == null ? neon.createProjectBranch(request)
                : neon.createProjectBranchAnonymized(request, rules);
        made.ifPresent(created -> {
            shared.say("Created " + named(created.branch()) + " from '" + parent.name() + "'.");
            sayStays(created.branch(), expiresAt);
        });
        return made;
    }

    private Map<String, Secret> connect(NeonApi.NewBranch made) {
        NeonApi.Branch branch = made.branch();
        neon.awaitReady(branch, made.operations());
        if (rules != null) {
            sayMasked(neon.awaitAnonymized(branch));
        }
        NeonApi.Compute compute = made.compute().orElseGet(() -> createCompute(branch));
        return entries(branch, compute, chooseLogin(branch, made.roles(), made.databases()));
    }

    /** Uses a branch as it is: production's. */
    private Map<String, Secret> use(NeonApi.Branch branch) {
        shared.say("Using " + named(branch) + " itself, since '" + amplifyBranch + "' is the production branch.");
        neon.awaitReady(branch, List.of());
        Future<NeonApi.Compute> compute = inParallel.start(() -> compute(branch));
        Login login = login(branch);
        return entries(branch, InParallel.await(compute), login);
    }

    private Map<String, Secret> reuse(NeonApi.Branch branch) {
        sayReuse(branch);
        neon.awaitReady(branch, List.of());
        requireMasked(branch);
        Future<Optional<NeonApi.Compute>> found = inParallel.start(() -> neon.readWriteCompute(branch.id()));
        Login login = login(branch);
        Optional<NeonApi.Compute> there = InParallel.await(found);
        if (variables.isAnySet()) {
            // Before anything changes.
            there.ifPresentOrElse(compute -> entries(branch, compute, login), variables::requireUnset);
        }
        setExpiry(branch);
        boolean isReset = reset(branch);
        there.filter(compute -> suspendTimeout != 0 && suspendTimeout != compute.suspendTimeoutSeconds()).ifPresent(compute ->
                shared.say("Its compute keeps its own suspend timeout; --suspend-timeout is for a new one."));
        NeonApi.Compute compute = there.orElseGet(() -> createCompute(branch));
        return entries(branch, compute, isReset ? login(branch) : login);
    }

    /** Sees to it that nobody is handed unmasked rows: those of a branch that is to be masked, or that somebody has had masked. */
    private void requireMasked(NeonApi.Branch branch) {
        masking(branch).ifPresent(found -> {
            boolean isMasked = found.isDone();
            if (rules != null && (isMasked ? !hasRules(branch) : found.hasStopped())) {
                // With the rules of the file: Neon may have made the branch and refused one of them, or the file was mended since.
                neon.startAnonymization(branch.id(), rules, found);
                shared.say("Masking it by " + maskingRules + ", since " + (isMasked ? "its own rules are for fewer columns"
                        : "it is not masked yet") + ".");
                isMasked = false;
            }
            sayMasked(isMasked ? found : neon.awaitAnonymized(branch));
        });
    }

    /** Returns how far the masking of the branch has come; nothing if nobody wants it masked. */
    private Optional<NeonApi.Masking> masking(NeonApi.Branch branch) {
        // What is masked cannot be reset, so there is no need to ask about most branches.
        if (isProduction() || rules == null && branch.isRestorable()) {
            return Optional.empty();
        }
        Optional<NeonApi.Masking> masking = neon.getAnonymizedBranchStatus(branch.id());
        if (rules != null && masking.isEmpty()) {
            throw new Failure("Neon branch '" + branch.name() + "' holds its parent's rows as they are, since it was made without"
                    + " --masking-rules; " + protection().reason(branch).map(reason -> "run without this option, since " + reason)
                            .orElse("delete it in the Neon Console, and the next run makes it anew") + ".");
        }
        return masking;
    }

    private boolean hasRules(NeonApi.Branch branch) {
        return MaskingRules.columns(neon.getMaskingRules(branch.id())).containsAll(MaskingRules.columns(rules));
    }

    private void sayMasked(NeonApi.Masking masking) {
        shared.say("It is masked" + (masking.message().isEmpty() ? "" : ": " + masking.message()) + ".");
    }

    private void sayReuse(NeonApi.Branch branch) {
        String made = branch.parentId() == null ? ""
                : ", made from '" + byId(branch.parentId()).map(NeonApi.Branch::name).orElse(branch.parentId()) + "'";
        boolean isFromElsewhere = parentBranch != null && !parent.id().equals(branch.parentId()) && resetSource(branch).isEmpty();
        shared.say("Reusing " + named(branch) + made + (branch.isSchemaOnly() ? ", without its parent's data" : "")
                + (isFromElsewhere ? ", not from '" + parent.name() + "'"
                        + (branch.isRestorable() ? "; --reset would bring it there" : "") : "") + ".");
    }

    /** Returns what the branch is to be reset to; nothing if it is not to be reset. */
    private Optional<NeonApi.Branch> resetSource(NeonApi.Branch branch) {
        // A masked branch that is there by now has just been made by another build: older ones were refused.
        if (!reset || rules != null || isProduction() || protection().reason(branch).isPresent()) {
            return Optional.empty();
        }
        if (branch.parentId() == null) {
            throw new Failure("Could not reset Neon branch '" + branch.name() + "': it has no parent; run without --reset.");
        }
        return Optional.of(parentBranch != null ? parent : byId(branch.parentId()).orElse(parent));
    }

    private boolean reset(NeonApi.Branch branch) {
        Optional<NeonApi.Branch> source = resetSource(branch);
        source.ifPresent(from -> {
            neon.awaitReady(branch, neon.restoreProjectBranch(branch.id(), from.id()));
            shared.say("Reset it to the current state of '" + from.name() + "'; its own data is gone.");
        });
        if (reset && source.isEmpty()) {
            protection().reason(branch).ifPresent(reason -> shared.say("Not resetting it: " + reason + "."));
        }
        return source.isPresent();
    }

    /** Returns when the branch is to expire: what the command line says, for one that may be lost. */
    private String expiry(NeonApi.Branch branch) {
        if (isProduction()) {
            return branch.expiresAt();
        }
        // Neon lets no branch with children expire.
        boolean canExpire = expiresIn != null && protection().reason(branch).isEmpty() && !hasChild(branch);
        return canExpire ? shared.expiry(expiresIn) : null;
    }

    private void setExpiry(NeonApi.Branch branch) {
        String expiry = expiry(branch);
        if (!Objects.equals(expiry, branch.expiresAt())) {
            neon.updateProjectBranch(branch.id(), expiry);
            shared.say(expiry == null ? "It does not expire any more." : "It expires on " + expiry + ".");
        }
        sayStays(branch, expiry);
    }

    private void sayStays(NeonApi.Branch branch, String expiry) {
        if (expiresIn != null && expiry == null) {
            shared.say("Not letting it expire: " + protection().reason(branch).orElse("it has a child branch") + ".");
        }
    }

    private NeonApi.Compute createCompute(NeonApi.Branch branch) {
        neon.awaitReady(branch, neon.createProjectEndpoint(branch.id(), suspendTimeout));
        return compute(branch);
    }

    private NeonApi.Compute compute(NeonApi.Branch branch) {
        return neon.readWriteCompute(branch.id()).orElseThrow(() -> new Failure("Neon branch '" + branch.name()
                + "' has no read-write compute to connect to; give it one in the Neon Console, or run again."));
    }

    /** Returns what is to be written; fails where the app would read something else. */
    private Map<String, Secret> entries(NeonApi.Branch branch, NeonApi.Compute compute, Login login) {
        Future<Secret> direct = inParallel.start(() -> neon.getConnectionURI(branch.id(), compute, login, false));
        Map<String, Secret> entries = new LinkedHashMap<>();
        entries.put(variables.pooled(), neon.getConnectionURI(branch.id(), compute, login, true));
        entries.put(variables.direct(), InParallel.await(direct));
        variables.requireSame(entries);
        return entries;
    }

    /** Refuses a branch that cannot be what the command line asks for. */
    private void requireUsable(NeonApi.Branch branch) {
        if (isProduction()) {
            return;
        }
        if (branch.expiresAt() != null && !Instant.parse(branch.expiresAt()).isAfter(shared.start)) {
            throw new Failure("Neon branch '" + branch.name() + "' expired on " + branch.expiresAt()
                    + " and is about to be deleted by Neon; run again in a minute, which makes it anew.");
        }
        if (reset && (rules != null || !branch.isRestorable()) && protection().reason(branch).isEmpty()) {
            throw new Failure("Could not reset Neon branch '" + branch.name() + "': it cannot be reset, as no masked branch can; delete it"
                    + " in the Neon Console, and the next run makes it anew, or run without --reset.");
        }
        if (schemaOnly && !branch.isSchemaOnly()) {
            throw new Failure("Neon branch '" + branch.name() + "' holds its parent's data, since it was made without --schema-only; delete"
                    + " it in the Neon Console, and the next run makes it anew.");
        }
    }

    private NeonApi.Branch parent() {
        // A name can look like an id.
        Optional<NeonApi.Branch> found = parentBranch == null ? branches.stream().filter(NeonApi.Branch::isDefault).findFirst()
                : byId(parentBranch).or(() -> byName(parentBranch));
        return found.orElseThrow(() -> new Failure("Neon project " + shared.projectId + " has no "
                + (parentBranch == null ? "default branch" : "branch '" + parentBranch + "'")
                + " to branch from; check --parent-branch and --neon-project-id."));
    }

    private Login login(NeonApi.Branch branch) {
        Future<List<String>> databases = inParallel.start(() -> neon.listProjectBranchDatabases(branch.id()));
        return chooseLogin(branch, neon.listProjectBranchRoles(branch.id()), InParallel.await(databases));
    }

    private Login chooseLogin(NeonApi.Branch branch, List<String> roles, List<String> databases) {
        return Login.choose(roleName, roles, databaseName, databases, branch.name());
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
        boolean isCheckedOut = amplifyBranch == null;
        checkBranch();
        variables = new Variables(envVar, unpooledEnvVar == null ? envVar + "_UNPOOLED" : unpooledEnvVar, shared::variable);
        String demand = "must be the name of a variable, such as DATABASE_URL";
        shared.matching("[A-Za-z_][A-Za-z0-9_]*", variables.pooled(), "--env-var", demand);
        shared.matching("[A-Za-z_][A-Za-z0-9_]*", variables.direct(), "--unpooled-env-var", demand);
        if (variables.pooled().equals(variables.direct())) {
            throw shared.usage("Invalid value for option '--unpooled-env-var': it must differ from that of --env-var.");
        }
        if (suspendTimeout != 0 && suspendTimeout != -1 && (suspendTimeout < 60 || suspendTimeout > 604_800)) {
            throw shared.usage("Invalid value for option '--suspend-timeout': it must be 0, -1, or 60 to 604800 seconds.");
        }
        if (schemaOnly && maskingRules != null) {
            throw shared.usage("Options '--schema-only' and '--masking-rules' exclude each other: a branch without rows has none to mask.");
        }
        shared.requireExpiry(expiresIn, "--expires-in");
        if (isCheckedOut) {
            shared.say("Taking the Git branch that is checked out, '" + amplifyBranch + "'.");
        }
    }

    private void checkBranch() {
        // A build says its branch itself; a checkout of its may be of no branch, or of another.
        boolean isBuild = shared.variable("CI") != null || shared.variable("AWS_JOB_ID") != null;
        if (amplifyBranch == null && !isBuild) {
            amplifyBranch = GitBranch.checkedOut().orElseThrow(() -> shared.usage("Missing required option '--branch-name' (or the variable"
                    + " AWS_BRANCH), and no Git branch is checked out here."));
        }
        shared.require(amplifyBranch, "--branch-name");
        String name = BranchName.of(shared.appId, amplifyBranch);
        int length = name.codePointCount(0, name.length());
        if (length > BranchName.LONGEST && !isProduction()) {
            throw shared.usage("Invalid value for option '--branch-name': with '" + shared.appId + "-' before it, it has " + length
                    + " characters, and Neon takes at most " + BranchName.LONGEST + " for a branch.");
        }
    }

    private boolean isProduction() {
        return amplifyBranch.equals(shared.productionBranch);
    }

    private Protection protection() {
        return new Protection(shared.appId, shared.productionBranch, Set.of(), List.of());
    }

    private boolean hasChild(NeonApi.Branch branch) {
        return branches.stream().anyMatch(other -> other.parentId() != null && other.parentId().equals(branch.id()));
    }

    /** Returns a branch that is yet to be made. */
    private NeonApi.Branch planned(String name) {
        return new NeonApi.Branch(null, name, parent.id(), "", false, false, null, false, true);
    }

    private Optional<NeonApi.Branch> byId(String branchId) {
        return branches.stream().filter(branch -> branch.id().equals(branchId)).findFirst();
    }

    private Optional<NeonApi.Branch> byName(String name) {
        return branches.stream().filter(branch -> branch.name().equals(name)).findFirst();
    }

    private static String named(NeonApi.Branch branch) {
        return "Neon branch " + branch.label();
    }

    private void report(NeonApi.Branch branch, boolean isCreated, String expiresAt) {
        ObjectNode report = Http.JSON.createObjectNode();
        report.putObject("branch").put("id", branch.id()).put("name", branch.name()).put("parent", branch.parentId())
                .put("created", isCreated).put("expires_at", expiresAt);
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

    @Option(names = "--grace", paramLabel = "TIME", converter = SharedOptions.TimeSpan.class,
            description = "Delete nothing now: let Neon do it after this time, such as 3d, at most 30d. A build of the branch in"
                    + " between takes that back.")
    private Duration grace;

    private final InParallel inParallel = new InParallel();

    @Override
    public Integer call() {
        check();
        inParallel.start(() -> {
            Aws.warmUp(aws -> aws.branches("none"));
            return null;
        });
        NeonApi neon = shared.neon(inParallel);
        // Neon first: a branch that is born while the lists are read is then not taken for an orphan.
        CleanupPlan plan = plan(CompletableFuture.completedFuture(neon.listProjectBranches()));
        CleanupReport report = new CleanupReport(shared);
        sayIdleGlobs(plan);
        report.begin(plan);
        if (shared.dryRun) {
            plan.remove().forEach(branch -> report.wouldRemove(branch, expiresAt()));
        } else {
            plan.requireAtMost(maxDeletions);
            new Removal(neon, inParallel, shared.deadline, this::plan, expiresAt(), report).run(plan);
        }
        shared.report(report.json());
        plan.requireAtMost(maxDeletions);
        if (report.failures() > 0) {
            throw new Failure(report.failures() + " of " + plan.remove().size() + " orphans could not be "
                    + (grace == null ? "deleted" : "set to expire") + "; run again later.");
        }
        return CommandLine.ExitCode.OK;
    }

    /** Reads Amplify's list, and plans. */
    private CleanupPlan plan(Future<List<NeonApi.Branch>> neonBranches) {
        List<Aws.AmplifyBranch> amplifyBranches = shared.aws().branches(shared.appId);
        CleanupPlan plan = CleanupPlan.of(shared.appId, InParallel.await(neonBranches), amplifyBranches, ownBranch(),
                shared.productionBranch, keep);
        return grace == null ? plan : plan.expiringAt(Instant.parse(expiresAt()));
    }

    /** The build's own branch must be in Amplify's list, if the build is one of the app that is cleaned up. */
    private String ownBranch() {
        return shared.appId.equals(shared.variable("AWS_APP_ID")) ? shared.variable("AWS_BRANCH") : null;
    }

    /** Returns when orphans are to expire; null when they are to be deleted. */
    private String expiresAt() {
        return grace == null ? null : shared.expiry(grace);
    }

    /** A glob that fits nothing may be a mistake, and what it was to keep is in danger. */
    private void sayIdleGlobs(CleanupPlan plan) {
        keep.stream().filter(glob -> plan.branches().noneMatch(branch -> Protection.fits(shared.appId, glob, branch.name())))
                .forEach(glob -> shared.say("No Neon branch of app " + shared.appId + " fits --keep '" + glob + "'."));
    }

    private void check() {
        shared.check();
        if (maxDeletions < 0) {
            throw shared.usage("Invalid value for option '--max-deletions': it must not be negative.");
        }
        shared.requireExpiry(grace, "--grace");
        // Read literally, as globs here are, these would fit no branch, and what they are to keep would be deleted.
        keep.forEach(glob -> shared.matching("[^!\\[\\]{},|\\\\][^\\[\\]{},|\\\\]*", glob, "--keep",
                "must be a glob of * and ? alone, one for each --keep; write ? for any of [ ] { } , | \\"));
    }
}
