///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//RUNTIME_OPTIONS -Xms24m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:disable -Xlog:all=error:stderr
//COMPILE_OPTIONS -encoding UTF-8 -XDstringConcat=inline -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC
//DESCRIPTION Gives every AWS Amplify branch its own Neon Postgres branch
//DEPS org.slf4j:slf4j-nop:2.0.20
//DEPS info.picocli:picocli:4.7.7
//DEPS com.fasterxml.jackson.core:jackson-databind:2.23.0
//DEPS software.amazon.awssdk:auth:2.40.2
//DEPS software.amazon.awssdk:url-connection-client:2.40.2
//SOURCES lib/Aws.java
//SOURCES lib/BranchName.java
//SOURCES lib/CleanupPlan.java
//SOURCES lib/EnvFile.java
//SOURCES lib/Failure.java
//SOURCES lib/NeonApi.java
//SOURCES lib/NeonHttp.java
//SOURCES lib/Secret.java

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.net.URI;
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
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Gives every AWS Amplify Hosting branch its own Neon Postgres branch. {@code create-branch} makes it and writes its connection strings
 * to an env file; {@code cleanup-branches} deletes the Neon branches of this app whose Amplify branch is gone.
 *
 * <p>Both go one way: read the options, read the clouds, decide, act, and say what was done. Data goes to stdout and words to stderr;
 * no secret goes to either.
 */
@Command(name = "neon-ci", version = "neon-ci 1.0.0", mixinStandardHelpOptions = true, scope = ScopeType.INHERIT,
        description = "Gives every AWS Amplify branch its own Neon Postgres branch.",
        subcommands = {CreateBranch.class, CleanupBranches.class},
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:something failed: Neon, AWS or the env file", "2:the command line is wrong"})
class NeonCi {

    final Map<String, String> environment;

    private NeonCi(Map<String, String> environment) {
        this.environment = environment;
    }

    public static void main(String... args) {
        System.exit(commandLine(System.getenv()).execute(args));
    }

    /**
     * Returns the command line, whose {@code execute} returns the exit code.
     *
     * @param environment the variables that options fall back to
     */
    static CommandLine commandLine(Map<String, String> environment) {
        return new CommandLine(new NeonCi(environment))
                .setExpandAtFiles(false)
                .setAllowOptionsAsOptionParameters(false)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setUsageHelpWidth(110)
                .setParameterExceptionHandler((e, args) -> {
                    CommandLine command = e.getCommandLine();
                    // What was not understood may be a secret, so only the name of an option is repeated.
                    String message = e instanceof UnmatchedArgumentException unmatched ? unmatched(unmatched)
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

    private static String unmatched(UnmatchedArgumentException e) {
        String option = e.getUnmatched().get(0).replaceFirst("(?s)=.*", "");
        if (!option.startsWith("-")) {
            return "There is an argument too many; a value with spaces needs quotes.";
        }
        List<String> likely = e.getSuggestions();
        String likeliest = likely.stream().filter(name -> name.startsWith(option)).findFirst().or(() -> likely.stream().findFirst())
                .map(name -> "; did you mean '" + name + "'?").orElse(".");
        return "Unknown option '" + option + "'" + likeliest;
    }

    private static void printError(CommandLine command, String message) {
        command.getErr().println(command.getColorScheme().errorText("neon-ci: " + message));
    }
}

/** What both commands take, and what follows from it. */
class SharedOptions {

    enum Output { text, json }

    @Option(names = "--app-id", paramLabel = "ID",
            description = "Amplify app, such as d1a2b3c4d5. Required. Default: $AWS_APP_ID.")
    private String appId;

    @Option(names = {"--neon-project-id", "--project-id"}, paramLabel = "ID",
            description = "Neon project. Required. Default: $NEON_PROJECT_ID.")
    private String projectId;

    @Option(names = "--api-key-param", paramLabel = "NAME",
            description = "SSM parameter that holds the Neon API key. Default: $NEON_API_KEY_PARAM; without either, the key is taken"
                    + " from $NEON_API_KEY.")
    private String apiKeyParam;

    @Option(names = "--region", paramLabel = "REGION",
            description = "AWS region. Default: $AWS_REGION, $AWS_DEFAULT_REGION, or that of the AWS profile.")
    private String region;

    @Option(names = "--api-host", paramLabel = "URL", hidden = true,
            description = "Address of Neon's API. Default: $NEON_API_HOST, or https://console.neon.tech/api/v2.")
    private String apiHost;

    @Option(names = "--wait", paramLabel = "TIME", defaultValue = "5m", converter = Period.class,
            description = "How long to wait for Neon at most, such as 90s or 5m. Default: ${DEFAULT-VALUE}.")
    private Duration wait;

    @Option(names = {"-n", "--dry-run"}, description = "Check everything, say what would be done, and change nothing.")
    boolean dryRun;

    @Option(names = "--output", paramLabel = "FORMAT", defaultValue = "text",
            description = "What stdout gets: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    Output output;

    @Option(names = {"-v", "--verbose"}, description = "Say each request: method, path, status, time and request id.")
    private boolean verbose;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    final Instant start = Instant.now();

    PrintWriter out() {
        return command.commandLine().getOut();
    }

    void say(String line) {
        command.commandLine().getErr().println(line);
    }

    String appId() {
        String value = required(appId, "--app-id", "AWS_APP_ID");
        return matching("d[a-z0-9]{1,19}", value, "--app-id", "must be an Amplify app id such as d1a2b3c4d5");
    }

    String projectId() {
        String value = required(projectId, "--neon-project-id", "NEON_PROJECT_ID");
        return matching(NeonApi.ID.pattern(), value, "--neon-project-id", "must be a Neon project id such as quiet-river-12345678");
    }

    /** Checks the options of both commands, before anything is sent. */
    void check() {
        appId();
        projectId();
        apiHost();
        for (String variable : List.of("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_AMPLIFY")) {
            if (environmentVariable(variable) != null) {
                address(environmentVariable(variable), "variable '" + variable + "'");
            }
        }
        region();
        if (apiKeyParam() == null && environmentVariable("NEON_API_KEY") == null) {
            throw usage("Missing the Neon API key: name the SSM parameter that holds it with --api-key-param or NEON_API_KEY_PARAM, or"
                    + " set NEON_API_KEY.");
        }
    }

    Aws aws() {
        return new Aws(region(), this::environmentVariable, start.plus(wait), verboseLines());
    }

    /** Fetches the key. */
    NeonApi neon() {
        String parameter = apiKeyParam();
        Secret key = parameter == null ? new Secret(environmentVariable("NEON_API_KEY")) : aws().parameter(parameter);
        String source = parameter == null ? "NEON_API_KEY" : "SSM parameter " + parameter;
        return new NeonApi(new NeonHttp(apiHost(), key, source, start.plus(wait), this::say, verboseLines()), projectId());
    }

    private Consumer<String> verboseLines() {
        return verbose ? this::say : line -> { };
    }

    private String apiKeyParam() {
        return optional(apiKeyParam, "--api-key-param", "NEON_API_KEY_PARAM");
    }

    private String region() {
        String value = optional(region, "--region", "AWS_REGION", "AWS_DEFAULT_REGION");
        return value == null ? null : matching("[a-z0-9-]+", value, "--region", "must be an AWS region such as eu-west-1");
    }

    private URI apiHost() {
        String value = optional(apiHost, "--api-host", "NEON_API_HOST");
        return value == null ? URI.create("https://console.neon.tech/api/v2") : address(value, "option '--api-host'");
    }

    /** The API key goes to there or comes from there, so it must be a place that nobody can listen on the way to. */
    private URI address(String value, String where) {
        String allowed = "https://[^/?#@\\s]+(/[^?#@\\s]*)?|http://(localhost|127(\\.\\d{1,3}){3}|\\[::1])(:\\d+)?(/[^?#@\\s]*)?";
        try {
            URI address = new URI(value.replaceFirst("/+$", ""));
            if (value.matches(allowed) && address.getHost() != null) {
                return address;
            }
        } catch (java.net.URISyntaxException e) {
            // What Java cannot read is refused like any other.
        }
        throw usage("Invalid value for " + where + ": it must be an https address (http only for this machine).");
    }

    /** Returns the option's value, or the first of its variables that is not blank, or null. */
    String optional(String value, String option, String... variables) {
        if (value != null) {
            return readable(matching("(?s).*\\S.*", value, option, "must not be blank"), option);
        }
        for (String variable : variables) {
            if (environmentVariable(variable) != null) {
                return readable(environmentVariable(variable), option);
            }
        }
        return null;
    }

    /**
     * Refuses what Java could not read: in a locale that is not UTF-8 it takes other characters for question marks, so that two branches
     * would share a database, or one that is to be kept would be deleted.
     */
    private String readable(String value, String option) {
        boolean isUtf8 = "UTF-8".equalsIgnoreCase(System.getProperty("sun.jnu.encoding"));
        if (value.indexOf('\ufffd') >= 0 || value.indexOf('?') >= 0 && !isUtf8) {
            throw usage("Invalid value for option '" + option
                    + "': it holds a character that this locale cannot read; run again with LC_ALL=C.UTF-8.");
        }
        return value;
    }

    String required(String value, String option, String variable) {
        String found = optional(value, option, variable);
        if (found == null) {
            throw usage("Missing required option '" + option + "' (or the variable " + variable + ").");
        }
        return found;
    }

    String matching(String pattern, String value, String option, String demand) {
        if (!value.matches(pattern)) {
            throw usage("Invalid value for option '" + option + "': it " + demand + ".");
        }
        return value;
    }

    /** Returns a variable's value, or null when it is not set or blank, which counts as not set. */
    String environmentVariable(String name) {
        String value = ((NeonCi) command.root().userObject()).environment.get(name);
        return value == null || value.isBlank() ? null : value;
    }

    ParameterException usage(String message) {
        return new ParameterException(command.commandLine(), message);
    }

    /** Reads times such as 90s, 5m, 12h and 7d. */
    static final class Period implements ITypeConverter<Duration> {

        private static final Pattern FORM = Pattern.compile("(\\d{1,6})([smhd])");

        @Override
        public Duration convert(String text) {
            Matcher form = FORM.matcher(text);
            if (!form.matches() || Long.parseLong(form.group(1)) == 0) {
                throw new TypeConversionException("it must be a time such as 90s, 5m, 12h or 7d");
            }
            long count = Long.parseLong(form.group(1));
            return switch (form.group(2)) {
                case "s" -> Duration.ofSeconds(count);
                case "m" -> Duration.ofMinutes(count);
                case "h" -> Duration.ofHours(count);
                default -> Duration.ofDays(count);
            };
        }
    }
}

/** Runs requests at the same time, each on a thread that does not keep the program alive. */
class InParallel {

    private static final int THREADS = 8;

    private final ThreadPoolExecutor threads =
            new ThreadPoolExecutor(THREADS, THREADS, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), task -> {
                Thread thread = new Thread(task);
                thread.setDaemon(true);
                return thread;
            });

    InParallel() {
        // Where many runs share a JVM, as in tests, the threads of those that have ended would pile up.
        threads.allowCoreThreadTimeOut(true);
    }

    <T> Future<T> start(Callable<T> request) {
        return threads.submit(request);
    }

    /** Returns what came out, or throws what the request threw. */
    static <T> T await(Future<T> future) {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException exception ? exception : new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw new Failure("Interrupted; run again, which goes on where this run stopped.", e);
        }
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
    private String branchName;

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

    @Option(names = "--expires-in", paramLabel = "TIME", converter = SharedOptions.Period.class,
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

    private final InParallel requests = new InParallel();
    private NeonApi neon;

    @Override
    public Integer call() {
        check();
        envFiles.forEach(file -> envFile(file).check(List.of(envVar, unpooledVar()), !shared.dryRun));
        String name = BranchName.of(shared.appId(), amplifyBranch());
        neon = shared.neon();
        Future<Optional<NeonApi.Branch>> parent = requests.start(this::findParent);
        Optional<NeonApi.Branch> existing = neon.findBranch(name);
        return shared.dryRun ? dryRun(name, existing, parent) : run(name, existing, parent);
    }

    private int run(String name, Optional<NeonApi.Branch> existing, Future<Optional<NeonApi.Branch>> parent) {
        Optional<NeonApi.NewBranch> made = existing.isPresent() ? Optional.empty() : create(name, parent);
        NeonApi.Branch branch = made.map(NeonApi.NewBranch::branch).or(() -> existing).or(() -> neon.findBranch(name))
                .orElseThrow(() -> new Failure("Neon branch '" + name + "' was deleted while it was set up; run again."));
        Map<String, Secret> entries = made.isPresent() ? connect(made.get()) : reuse(branch);
        envFiles.forEach(file -> envFile(file).write(entries));
        shared.say("Wrote " + String.join(" and ", entries.keySet()) + " to " + fileNames() + ".");
        report(branch.id(), name, branch.parentId(), made.isPresent(),
                expiresIn == null || made.isPresent() ? branch.expiresAt() : expiresAt().toString());
        return CommandLine.ExitCode.OK;
    }

    /** Does all that changes nothing, and says the rest. */
    private int dryRun(String name, Optional<NeonApi.Branch> existing, Future<Optional<NeonApi.Branch>> parent) {
        NeonApi.Branch source = existing.orElseGet(() -> requireParent(parent));
        NeonApi.Login login = chooseLogin(source.name(), neon.listProjectBranchRoles(source.id()),
                neon.listProjectBranchDatabases(source.id()));
        String doing = existing.isEmpty() ? "create Neon branch '" + name + "' from '" + source.name() + "'"
                : (reset ? "reset" : "reuse") + " Neon branch '" + name + "'";
        shared.say("Would " + doing + ", and write the connection strings of role '" + login.role() + "' and database '"
                + login.database() + "' to " + fileNames() + ".");
        report(existing.map(NeonApi.Branch::id).orElse(null), name, existing.map(NeonApi.Branch::parentId).orElse(source.id()), false,
                expiresIn == null ? existing.map(NeonApi.Branch::expiresAt).orElse(null) : expiresAt().toString());
        return CommandLine.ExitCode.OK;
    }

    private Optional<NeonApi.NewBranch> create(String name, Future<Optional<NeonApi.Branch>> parent) {
        // A name the user gave may be wrong, and then nothing is created. Neon's usual names are not worth a request more.
        if (roleName != null || databaseName != null) {
            NeonApi.Branch source = requireParent(parent);
            Future<List<String>> databases = requests.start(() -> neon.listProjectBranchDatabases(source.id()));
            chooseLogin(source.name(), neon.listProjectBranchRoles(source.id()), InParallel.await(databases));
        }
        String parentId = parentBranch == null ? null : requireParent(parent).id();
        Optional<NeonApi.NewBranch> made = neon.createProjectBranch(new NeonApi.BranchRequest(name, parentId, schemaOnly,
                expiresIn == null ? null : expiresAt(), suspendTimeout, origin()));
        if (made.isPresent()) {
            shared.say("Created Neon branch '" + name + "' from "
                    + (parentBranch == null ? "the project's default branch." : "'" + parentBranch + "'."));
        }
        return made;
    }

    private Map<String, Secret> connect(NeonApi.NewBranch made) {
        NeonApi.Branch branch = made.branch();
        neon.awaitReady(branch, made.operations());
        if (!made.hasCompute()) {
            neon.awaitReady(branch, neon.createProjectEndpoint(branch.id(), suspendTimeout));
        }
        return entries(branch, chooseLogin(branch.name(), made.roles(), made.databases()));
    }

    private Map<String, Secret> reuse(NeonApi.Branch branch) {
        shared.say("Neon branch '" + branch.name() + "' exists already and is used again.");
        neon.awaitReady(branch, List.of());
        if (reset) {
            if (branch.parentId() == null) {
                throw new Failure("Could not reset Neon branch '" + branch.name() + "': it has no parent; run without --reset.");
            }
            neon.awaitReady(branch, neon.restoreProjectBranch(branch.id(), branch.parentId()));
            shared.say("Reset it to the current state of its parent; its own data is gone.");
        }
        Future<?> expiry = requests.start(() -> {
            if (expiresIn != null) {
                neon.updateProjectBranch(branch.id(), expiresAt());
            }
            return null;
        });
        // What the names most likely are is asked for at the same time as what they can be.
        NeonApi.Login likely = new NeonApi.Login(roleName == null ? USUAL_ROLE : roleName,
                databaseName == null ? USUAL_DATABASE : databaseName);
        Future<Map<String, Secret>> likelyEntries = requests.start(() -> entries(branch, likely));
        Future<List<String>> roles = requests.start(() -> neon.listProjectBranchRoles(branch.id()));
        Future<List<String>> databases = requests.start(() -> neon.listProjectBranchDatabases(branch.id()));
        boolean hasCompute = neon.hasReadWriteCompute(branch.id());
        NeonApi.Login login = chooseLogin(branch.name(), InParallel.await(roles), InParallel.await(databases));
        InParallel.await(expiry);
        if (!hasCompute) {
            neon.awaitReady(branch, neon.createProjectEndpoint(branch.id(), suspendTimeout));
        }
        return hasCompute && login.equals(likely) ? InParallel.await(likelyEntries) : entries(branch, login);
    }

    private Map<String, Secret> entries(NeonApi.Branch branch, NeonApi.Login login) {
        Future<Secret> direct = requests.start(() -> neon.getConnectionURI(branch.id(), login, false));
        Map<String, Secret> entries = new LinkedHashMap<>();
        entries.put(envVar, neon.getConnectionURI(branch.id(), login, true));
        entries.put(unpooledVar(), InParallel.await(direct));
        return entries;
    }

    /** Looks for the parent where its id or name is needed; Neon itself knows the default branch. */
    private Optional<NeonApi.Branch> findParent() {
        if (parentBranch != null) {
            return neon.findBranchByIdOrName(parentBranch);
        }
        return shared.dryRun || roleName != null || databaseName != null
                ? neon.listProjectBranches().stream().filter(NeonApi.Branch::isDefault).findFirst()
                : Optional.empty();
    }

    private NeonApi.Branch requireParent(Future<Optional<NeonApi.Branch>> parent) {
        return InParallel.await(parent).orElseThrow(() -> new Failure("Neon project " + shared.projectId() + " has no "
                + (parentBranch == null ? "default branch" : "branch '" + parentBranch + "'")
                + " to branch from; check --parent-branch and --neon-project-id."));
    }

    private NeonApi.Login chooseLogin(String branch, List<String> roles, List<String> databases) {
        return new NeonApi.Login(choose(roleName, USUAL_ROLE, roles, "role", "--role-name", branch),
                choose(databaseName, USUAL_DATABASE, databases, "database", "--database-name", branch));
    }

    /** Returns the given name, else the usual one, else the only one that an application may use. */
    private static String choose(String given, String usual, List<String> there, String what, String option, String branch) {
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
        throw new Failure("Could not choose a " + what + " of Neon branch '" + branch + "': "
                + (given == null ? "" : "there is no '" + given + "', ") + list + ".");
    }

    /** What a reader of the Neon Console wants to know of a branch. */
    private Map<String, String> origin() {
        Map<String, String> origin = new LinkedHashMap<>();
        origin.put("amplify-app-id", shared.appId());
        origin.put("amplify-branch", amplifyBranch());
        Map.of("amplify-commit-id", "AWS_COMMIT_ID", "amplify-job-id", "AWS_JOB_ID", "amplify-pull-request-id", "AWS_PULL_REQUEST_ID")
                .forEach((key, variable) -> {
                    if (shared.environmentVariable(variable) != null) {
                        origin.put(key, shared.environmentVariable(variable));
                    }
                });
        return origin;
    }

    private void check() {
        shared.check();
        amplifyBranch();
        shared.optional(parentBranch, "--parent-branch");
        shared.optional(roleName, "--role-name");
        shared.optional(databaseName, "--database-name");
        shared.matching("[A-Za-z_][A-Za-z0-9_]*", envVar, "--env-var", "must be the name of a variable, such as DATABASE_URL");
        envFiles.forEach(file -> shared.optional(file, "--env-file"));
        if (suspendTimeout != 0 && suspendTimeout != -1 && (suspendTimeout < 60 || suspendTimeout > 604_800)) {
            throw shared.usage("Invalid value for option '--suspend-timeout': it must be 0, -1, or 60 to 604800 seconds.");
        }
        if (expiresIn != null && expiresIn.compareTo(LONGEST_LIFE) > 0) {
            throw shared.usage("Invalid value for option '--expires-in': Neon takes at most 30d.");
        }
    }

    private String amplifyBranch() {
        return shared.required(branchName, "--branch-name", "AWS_BRANCH");
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

    private void report(String id, String name, String parentId, boolean isCreated, String expiresAt) {
        if (shared.output == SharedOptions.Output.text) {
            if (id != null) {
                shared.out().println(id);
            }
            return;
        }
        ObjectNode report = NeonHttp.JSON.createObjectNode();
        report.putObject("branch").put("id", id).put("name", name).put("parent", parentId).put("created", isCreated)
                .put("expires_at", expiresAt);
        envFiles.forEach(file -> report.withArray("env_files").add(file));
        shared.out().println(report.put("dry_run", shared.dryRun));
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

    private final InParallel requests = new InParallel();

    @Override
    public Integer call() {
        check();
        NeonApi neon = shared.neon();
        // Neon first: a branch that is born while the lists are read is then not taken for an orphan.
        List<NeonApi.Branch> neonBranches = neon.listProjectBranches();
        List<Aws.AmplifyBranch> amplifyBranches = shared.aws().branches(shared.appId());
        CleanupPlan plan = CleanupPlan.of(shared.appId(), neonBranches, amplifyBranches, ownBranch(), keep);
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

    private void check() {
        shared.check();
        keep.forEach(glob -> shared.optional(glob, "--keep"));
        if (maxDeletions < 0) {
            throw shared.usage("Invalid value for option '--max-deletions': it must not be negative.");
        }
    }

    /** The build's own branch must be in Amplify's list, if the build is one of the app that is cleaned up. */
    private String ownBranch() {
        return shared.appId().equals(shared.environmentVariable("AWS_APP_ID")) ? shared.environmentVariable("AWS_BRANCH") : null;
    }

    private void sayPlan(CleanupPlan plan) {
        List<CleanupPlan.Kept> live = plan.kept().stream().filter(kept -> kept.reason().equals(CleanupPlan.LIVE)).toList();
        plan.kept().stream().filter(kept -> !live.contains(kept))
                .forEach(kept -> shared.say("Keeping '" + kept.branch().name() + "': " + kept.reason() + "."));
        shared.say("Neon branches of app " + shared.appId() + ": " + live.size() + " with an Amplify branch, "
                + (plan.kept().size() - live.size()) + " kept, " + plan.delete().size() + " orphaned"
                + (plan.delete().isEmpty() ? "; nothing to delete."
                        : shared.dryRun ? "; without --dry-run these would be deleted:" : "; deleting these:"));
    }

    /** Returns the branches that could not be deleted, and why. */
    private Map<NeonApi.Branch, String> delete(NeonApi neon, CleanupPlan plan) {
        Map<String, List<Future<String>>> children = new HashMap<>();
        Map<NeonApi.Branch, Future<String>> deletions = new LinkedHashMap<>();
        for (NeonApi.Branch branch : plan.delete()) {
            // Children stand before their parents and so begin first: a parent that waits for them cannot keep them from it.
            List<Future<String>> before = children.getOrDefault(branch.id(), List.of());
            Future<String> deletion = requests.start(() -> delete(neon, branch, before));
            deletions.put(branch, deletion);
            children.computeIfAbsent(branch.parentId(), parent -> new ArrayList<>()).add(deletion);
        }
        Map<NeonApi.Branch, String> failed = new LinkedHashMap<>();
        deletions.forEach((branch, deletion) -> {
            String error = InParallel.await(deletion);
            if (error != null) {
                failed.put(branch, error);
                shared.say(error);
            } else if (shared.output == SharedOptions.Output.text) {
                shared.out().println(branch.name());
            }
        });
        return failed;
    }

    /** Returns null, or why the branch is still there. */
    private static String delete(NeonApi neon, NeonApi.Branch branch, List<Future<String>> children) {
        for (Future<String> child : children) {
            if (InParallel.await(child) != null) {
                return "Did not delete '" + branch.name() + "': one of its child branches is still there.";
            }
        }
        try {
            neon.deleteProjectBranch(branch.id());
            return null;
        } catch (Failure e) {
            return "Did not delete '" + branch.name() + "'. " + e.getMessage();
        }
    }

    private void report(CleanupPlan plan, Map<NeonApi.Branch, String> failed) {
        if (shared.output == SharedOptions.Output.text) {
            if (shared.dryRun) {
                plan.delete().forEach(branch -> shared.out().println(branch.name()));
            }
            return;
        }
        ObjectNode report = NeonHttp.JSON.createObjectNode();
        for (String list : List.of("deleted", "kept", "failed")) {
            report.putArray(list);
        }
        plan.delete().stream().filter(branch -> !failed.containsKey(branch))
                .forEach(branch -> add(report, "deleted", branch));
        plan.kept().forEach(kept -> add(report, "kept", kept.branch()).put("reason", kept.reason()));
        failed.forEach((branch, error) -> add(report, "failed", branch).put("error", error));
        shared.out().println(report.put("dry_run", shared.dryRun));
    }

    private static ObjectNode add(ObjectNode report, String list, NeonApi.Branch branch) {
        return report.withArray(list).addObject().put("id", branch.id()).put("name", branch.name());
    }
}
