import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** What both commands take, and what follows from it: checked values, the way to both clouds, and where words go. */
class SharedOptions {

    enum Output { text, json }

    private static final Duration LONGEST_LIFE = Duration.ofDays(30);

    /** The variables that stand in for an option that is left out; the first that is not blank counts. */
    private static final Map<String, List<String>> VARIABLES = Map.of(
            "--app-id", List.of("AWS_APP_ID"),
            "--neon-project-id", List.of("NEON_PROJECT_ID"),
            "--api-key-param", List.of("NEON_API_KEY_PARAM"),
            "--region", List.of("AWS_REGION", "AWS_DEFAULT_REGION"),
            "--api-host", List.of("NEON_API_HOST"),
            "--branch-name", List.of("AWS_BRANCH"));

    @Option(names = "--app-id", paramLabel = "ID",
            description = "Amplify app, such as d1a2b3c4d5. Required. Default: $AWS_APP_ID.")
    String appId;

    @Option(names = {"--neon-project-id", "--project-id"}, paramLabel = "ID",
            description = "Neon project. Required. Default: $NEON_PROJECT_ID.")
    String projectId;

    @Option(names = "--api-key-param", paramLabel = "NAME",
            description = "SSM parameter that holds the Neon API key. Default: $NEON_API_KEY_PARAM; without either, the key is taken"
                    + " from $NEON_API_KEY.")
    private String apiKeyParam;

    @Option(names = "--production-branch", paramLabel = "NAME",
            description = "Amplify branch that uses the parent branch itself, production's database, and never a copy. Default: none.")
    String productionBranch;

    @Option(names = "--region", paramLabel = "REGION",
            description = "AWS region. Default: $AWS_REGION, $AWS_DEFAULT_REGION, or that of the AWS profile.")
    private String region;

    @Option(names = "--api-host", paramLabel = "URL", hidden = true, defaultValue = "https://console.neon.tech/api/v2",
            description = "Address of Neon's API. Default: $NEON_API_HOST, or ${DEFAULT-VALUE}.")
    private String apiHost;

    @Option(names = "--wait", paramLabel = "TIME", defaultValue = "5m", converter = TimeSpan.class,
            description = "How long to wait for Neon at most, such as 90s or 5m. Default: ${DEFAULT-VALUE}.")
    private Duration wait;

    @Option(names = {"-n", "--dry-run"}, description = "Check everything, say what would be done, and change nothing.")
    boolean dryRun;

    @Option(names = "--output", paramLabel = "FORMAT", defaultValue = "text",
            description = "What stdout gets: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private Output output;

    @Option(names = {"-v", "--verbose"}, description = "Say each request: method, path, status, time and request id.")
    private boolean verbose;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    final Instant start = Instant.now();
    Deadline deadline;
    private Aws aws;

    /** Says what was done: data in text mode, words in json mode. */
    void say(String line) {
        (output == Output.text ? command.commandLine().getOut() : command.commandLine().getErr()).println(Secret.oneLine(line));
    }

    /** Says what went wrong, or what is waited for. */
    void warn(String line) {
        command.commandLine().getErr().println(Secret.oneLine(line));
    }

    /** Prints the one object of json mode; text mode has said it all. */
    void report(ObjectNode report) {
        if (output == Output.json) {
            command.commandLine().getOut().println(report.put("dry_run", dryRun));
        }
    }

    /** Checks the options of both commands, before anything is sent. */
    void check() {
        for (OptionSpec option : command.commandLine().getCommandSpec().options()) {
            List<?> values = option.getValue() instanceof List<?> list ? list
                    : option.getValue() == null ? List.of() : List.of((Object) option.getValue());
            values.stream().filter(String.class::isInstance).forEach(value -> checkText(option.names()[0], (String) value));
        }
        require(appId, "--app-id");
        matching("d[a-z0-9]{1,19}", appId, "--app-id", "must be an Amplify app id such as d1a2b3c4d5");
        require(projectId, "--neon-project-id");
        matching(NeonApi.ID.pattern(), projectId, "--neon-project-id", "must be a Neon project id such as quiet-river-12345678");
        if (region != null) {
            matching("[a-z0-9-]+", region, "--region", "must be an AWS region such as eu-west-1");
        }
        address(apiHost, "option '--api-host'");
        for (String variable : List.of("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_AMPLIFY")) {
            if (variable(variable) != null) {
                address(variable(variable), "variable '" + variable + "'");
            }
        }
        if (apiKeyParam == null && variable("NEON_API_KEY") == null) {
            throw usage("Missing the Neon API key: name the SSM parameter that holds it with --api-key-param or NEON_API_KEY_PARAM, or"
                    + " set NEON_API_KEY.");
        }
        deadline = Deadline.in(wait);
    }

    private void checkText(String option, String value) {
        if (Secret.API_KEY.matcher(value).find()) {
            throw usage("Invalid value for option '" + option + "'" + (VARIABLES.containsKey(option) ? " or its variable" : "")
                    + ": it looks like a Neon API key; store that in an SSM parameter, or set NEON_API_KEY to it.");
        }
        matching("(?s).*\\S.*", value, option, "must not be blank");
        // In a locale that is not UTF-8 Java takes what is beyond ASCII for question marks or for other characters, so that two branches
        // would share a database, or one that is to be kept would be deleted.
        boolean isUtf8 = "UTF-8".equalsIgnoreCase(System.getProperty("sun.jnu.encoding"));
        if (value.indexOf('\ufffd') >= 0 || !isUtf8 && !value.matches("[\\p{ASCII}&&[^?]]*")) {
            throw usage("Invalid value for option '" + option
                    + "': it holds a character that this locale cannot read; run again with LC_ALL=C.UTF-8.");
        }
    }

    Aws aws() {
        if (aws == null) {
            aws = new Aws(region, this::variable, deadline, this::warn, verbose ? this::warn : null);
        }
        return aws;
    }

    /** Returns how long the command may take: some time after the last moment of waiting, in which it can say what became of that. */
    Duration longestRun() {
        return wait.plusSeconds(3);
    }

    /** Fetches the key, and gets ready for Neon meanwhile. */
    NeonApi neon(InParallel inParallel) {
        URI host = address(apiHost, "option '--api-host'");
        Future<?> ready = inParallel.start(() -> Http.warmUp(host));
        Secret key = apiKeyParam == null ? new Secret(variable("NEON_API_KEY")) : aws().parameter(apiKeyParam);
        InParallel.await(ready);
        String source = apiKeyParam == null ? "NEON_API_KEY" : "SSM parameter " + apiKeyParam;
        // White space is easily stored along with a key: a file ends in a line break, and in two bytes on Windows.
        return new NeonApi(projectId, host, new Secret(key.value().strip()), source, deadline, this::warn,
                verbose ? this::warn : line -> { });
    }

    /** The API key goes to there or comes from there, so it must be a place that nobody can listen on the way to. */
    private URI address(String value, String where) {
        String allowed = "https://[^/?#@\\s]+(/[^?#@\\s]*)?|http://(localhost|127(\\.\\d{1,3}){3}|\\[::1])(:\\d+)?(/[^?#@\\s]*)?";
        try {
            URI address = new URI(value.replaceFirst("/+$", ""));
            if (value.matches(allowed) && address.getHost() != null) {
                return address;
            }
        } catch (URISyntaxException e) {
            // What Java cannot read is refused like any other.
        }
        throw usage("Invalid value for " + where + ": it must be an https address (http only for this machine).");
    }

    void require(String value, String option) {
        if (value == null) {
            throw usage("Missing required option '" + option + "' (or the variable " + VARIABLES.get(option).get(0) + ").");
        }
    }

    void matching(String pattern, String value, String option, String demand) {
        if (!value.matches(pattern)) {
            throw usage("Invalid value for option '" + option + "': it " + demand + ".");
        }
    }

    /** Refuses a time to expire in that Neon would not take; null is none. */
    void requireExpiry(Duration time, String option) {
        if (time != null && time.compareTo(LONGEST_LIFE) > 0) {
            throw usage("Invalid value for option '" + option + "': Neon takes at most 30d.");
        }
    }

    /** Returns when this time after the run's start is over, RFC 3339, in the whole seconds that Neon takes. */
    String expiry(Duration time) {
        return start.plus(time).truncatedTo(ChronoUnit.SECONDS).toString();
    }

    /** Returns a variable's value, or null when it is not set or blank, which counts as not set. */
    String variable(String name) {
        return variable(((NeonCi) command.root().userObject()).environment, name);
    }

    private static String variable(Map<String, String> environment, String name) {
        String value = environment.get(name);
        return value == null || value.isBlank() ? null : value;
    }

    ParameterException usage(String message) {
        return new ParameterException(command.commandLine(), message);
    }

    static int wholeNumber(String text) {
        if (!text.matches("-?\\d{1,9}")) {
            throw new TypeConversionException("it must be a whole number");
        }
        return Integer.parseInt(text);
    }

    static boolean flag(String text) {
        if (!text.matches("(?i)true|false")) {
            throw new TypeConversionException("it takes no value");
        }
        return Boolean.parseBoolean(text);
    }

    static Output output(String text) {
        if (!text.matches("(?i)text|json")) {
            throw new TypeConversionException("it must be text or json");
        }
        return Output.valueOf(text.toLowerCase(Locale.ROOT));
    }

    /** Takes an option that is left out from its variables. */
    record Defaults(Map<String, String> environment) implements IDefaultValueProvider {

        @Override
        public String defaultValue(ArgSpec argument) {
            return argument instanceof OptionSpec option
                    ? VARIABLES.getOrDefault(option.names()[0], List.of()).stream().map(name -> variable(environment, name))
                            .filter(value -> value != null).findFirst().orElse(null)
                    : null;
        }
    }

    /** Reads times such as 90s, 5m, 12h and 7d. */
    static final class TimeSpan implements ITypeConverter<Duration> {

        private static final Pattern FORM = Pattern.compile("(\\d{1,6})([smhd])");

        @Override
        public Duration convert(String text) {
            Matcher matcher = FORM.matcher(text);
            if (!matcher.matches() || Long.parseLong(matcher.group(1)) == 0) {
                throw new TypeConversionException("it must be a time such as 90s, 5m, 12h or 7d");
            }
            long number = Long.parseLong(matcher.group(1));
            return switch (matcher.group(2)) {
                case "s" -> Duration.ofSeconds(number);
                case "m" -> Duration.ofMinutes(number);
                case "h" -> Duration.ofHours(number);
                default -> Duration.ofDays(number);
            };
        }
    }
}
