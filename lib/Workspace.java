import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What is around the command: the Git branch, and what can mislead an app although its env file is right. No warning contains a value. */
final class Workspace {

    /** The id of a Neon compute, which is part of every host that leads to its branch. */
    private static final Pattern COMPUTE_ID = Pattern.compile("(?<![a-z0-9-])ep-[a-z]+-[a-z]+-[a-z0-9]+");

    /** Returns all warnings for these entries, which were written to these files. */
    static List<String> warnings(Map<String, Secret> written, List<String> files, Map<String, String> environment, boolean isBuild) {
        List<String> warnings = new ArrayList<>(otherBranches(written, environment, "the environment"));
        for (String name : files) {
            Path file = Path.of(name).toAbsolutePath().normalize();
            warnings.addAll(otherBranches(written, EnvFile.entries(file), name));
            turbo(written.keySet(), file).ifPresent(warnings::add);
            if (!isBuild) {
                notIgnored(file).ifPresent(warnings::add);
            }
        }
        return warnings;
    }

    /** Returns a sentence for each variable that leads to another compute than the written entries. */
    static List<String> otherBranches(Map<String, Secret> written, Map<String, String> variables, String place) {
        Set<String> own = written.values().stream().flatMap(value -> computeIds(value.value())).collect(Collectors.toSet());
        return variables.keySet().stream().sorted().filter(name -> !written.containsKey(name))
                .filter(name -> computeIds(variables.get(name)).anyMatch(id -> !own.contains(id)))
                .map(name -> name + " in " + place + " leads to another Neon branch, so the app may use two databases; remove it, or set"
                        + " it for this branch.").toList();
    }

    private static Stream<String> computeIds(String value) {
        return COMPUTE_ID.matcher(value).results().map(MatchResult::group);
    }

    /** Returns a sentence if Turborepo does not know the variables or the file, and so reuses a build when they change. */
    static Optional<String> turbo(Collection<String> names, Path file) {
        List<Path> folders = new ArrayList<>();
        for (Path folder = file.getParent(); folder != null; folder = Files.exists(folder.resolve(".git")) ? null : folder.getParent()) {
            folders.add(folder);
        }
        List<Path> configs = folders.stream().flatMap(folder -> Stream.of("turbo.json", "turbo.jsonc").map(folder::resolve))
                .filter(Files::isRegularFile).toList();
        Set<String> variables = values(configs, "globalEnv", "env");
        Set<String> inputs = values(configs, "globalDependencies", "inputs");
        List<String> lines = new ArrayList<>();
        if (!names.stream().allMatch(name -> variables.stream().anyMatch(glob -> matches(glob, Path.of(name))))) {
            lines.add("\"globalEnv\": [\"" + String.join("\", \"", names) + "\"]");
        }
        if (folders.stream().noneMatch(folder -> inputs.stream().anyMatch(glob -> matches(glob, folder.relativize(file))))) {
            lines.add("\"globalDependencies\": [\"**/" + file.getFileName() + "\"]");
        }
        return configs.isEmpty() || lines.isEmpty() ? Optional.empty() : Optional.of("Turborepo may reuse a build with another branch's"
                + " database; add " + String.join(" and ", lines) + " to " + configs.get(configs.size() - 1) + ".");
    }

    /** Returns the elements of all arrays with these names. */
    private static Set<String> values(List<Path> configs, String... names) {
        return configs.stream().map(Workspace::read).flatMap(config -> Stream.of(names).flatMap(name -> config.findValues(name).stream()))
                .flatMap(JsonNode::valueStream).map(JsonNode::asText).collect(Collectors.toSet());
    }

    private static JsonNode read(Path config) {
        try {
            return Http.JSON.reader().withFeatures(JsonReadFeature.ALLOW_JAVA_COMMENTS, JsonReadFeature.ALLOW_TRAILING_COMMA)
                    .readTree(Files.readAllBytes(config));
        } catch (IOException e) {
            return Http.JSON.missingNode();
        }
    }

    private static boolean matches(String glob, Path path) {
        try {
            String pattern = glob.replace("$TURBO_ROOT$/", "").replace("**/", "{**/,}");
            return FileSystems.getDefault().getPathMatcher("glob:" + pattern).matches(path);
        } catch (IllegalArgumentException e) {
            return false; // No glob.
        }
    }

    /** Returns the Git branch of the current folder; the empty string if there is none or no Git. Fails with what Git prints. */
    static String gitBranch() {
        try {
            Process git = new ProcessBuilder("git", "branch", "--show-current").start();
            String name = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            String error = new String(git.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
            if (name.isEmpty() && !error.isBlank()) {
                throw new Failure("Git could not tell the branch: " + Secret.redact(error) + "; set --branch-name.");
            }
            return name;
        } catch (IOException e) {
            return "";
        }
    }

    /** Returns a sentence if the file is in a Git repository that tracks it or does not ignore it. */
    static Optional<String> notIgnored(Path file) {
        try {
            // Exit code 1 means tracked or not ignored, 128 no repository.
            Process git = new ProcessBuilder("git", "check-ignore", "--quiet", file.getFileName().toString())
                    .directory(file.getParent().toFile()).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            return git.onExit().join().exitValue() != 1 ? Optional.empty() : Optional.of("Git does not ignore " + file + ", which contains"
                    + " a password; add it to .gitignore, and run 'git rm --cached' on it if it is tracked.");
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
