import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** What is wrong with a command line, as a sentence. What was not understood may be a secret, so only the name of an option is repeated. */
final class UsageError {

    private static final Pattern OPTION = Pattern.compile("--[a-z-]+|-[A-Za-z]");

    private UsageError() {
    }

    static String sentence(ParameterException e) {
        return e instanceof UnmatchedArgumentException unmatched ? unmatched(unmatched)
                : e instanceof MissingParameterException missing ? withoutValue(missing)
                : e.getMessage().endsWith(".") ? e.getMessage() : e.getMessage() + ".";
    }

    private static String withoutValue(MissingParameterException e) {
        return e.getMissing().get(0) instanceof OptionSpec option
                ? "Option '" + option.names()[0] + "' needs a value; one that begins with a hyphen needs an equals sign before it."
                : "There is an argument too few.";
    }

    private static String unmatched(UnmatchedArgumentException e) {
        String argument = e.getUnmatched().get(0);
        Matcher option = OPTION.matcher(argument);
        if (option.lookingAt()) {
            return "Unknown option '" + option.group() + "'" + (argument.startsWith("--") ? likely(e, option.group()) : ".");
        }
        boolean isCommand = !argument.startsWith("-") && e.getCommandLine().getParent() == null;
        return isCommand ? "There is no such command" + likely(e, argument)
                : argument.startsWith("-") ? "There is an unknown option."
                : "There is an argument too many; a value with spaces needs quotes.";
    }

    private static String likely(UnmatchedArgumentException e, String word) {
        List<String> names = e.getSuggestions();
        Optional<String> likeliest = names.stream().filter(name -> name.startsWith(word)).findFirst().or(() -> names.stream().findFirst());
        return likeliest.map(name -> "; did you mean '" + name + "'?").orElse(".");
    }
}
