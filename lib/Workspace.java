import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** What is around the command: the Git branch, and what can mislead an app although its env file is right. No warning contains a value. */
final class Workspace {

    /** The id of a Neon compute, which is part of every host that leads to its branch. */
    private static final Pattern COMPUTE_ID = Pattern.compile("(?i)(?:(?<![a-z0-9-])|(?<=%3d))ep-[a-z]+-[a-z]+-[a-z0-9]+");

    /** Returns all warnings for these entries, which were written to these files. */
    static List<String> warnings(Map<String, Secret> written, List<String> files, Map<String, String> environment, boolean isBuild) {
        List<String> warnings = new ArrayList<>(otherBranches(written, environment, "the environment"));
        for (String name : files) {
            Path file = Path.of(name).toAbsolutePath().normalize();
            warnings.addAll(otherBranches(written, EnvFile.entries(file), name));
            turbo(List.copyOf(written.keySet()), file).ifPresent(warnings::add);
            if (!isBuild) {
                notIgnored(file).ifPresent(warnings::add);
            }
        }
        return warnings;
    }

    /** Returns a sentence for each variable that leads to another compute than the written entries. */
    static List<String> otherBranches(Map<String, Secret> written, Map<String, String> variables, String place) {
        Set<String> ownIds = new TreeSet<>();
        written.values().forEach(value -> ownIds.addAll(computeIds(value.value())));
        List<String> warnings = new ArrayList<>();
        for (String name : new TreeSet<>(variables.keySet())) {
            if (!written.containsKey(name) && !ownIds.containsAll(computeIds(variables.get(name)))) {
                warnings.add(name + " in " + place + " leads to another Neon branch, so the app may use two databases; remove it, or set it"
                        + " for this branch.");
            }
        }
        return warnings;
    }

    private static List<String> computeIds(String value) {
        return COMPUTE_ID.matcher(value).results().map(id -> id.group().toLowerCase(Locale.ROOT)).toList();
    }

    /** Returns a sentence if Turborepo does not know the variables or the file, and so reuses a build when they change. */
    static Optional<String> turbo(List<String> names, Path file) {
        List<Path> configs = new ArrayList<>();
        for (Path folder = file.getParent(); folder != null; folder = Files.exists(folder.resolve(".git")) ? null : folder.getParent()) {
            configs.addAll(List.of(folder.resolve("turbo.json"), folder.resolve("turbo.jsonc")));
        }
        configs.removeIf(Files::notExists);
        List<String> lines = new ArrayList<>();
        if (!configs.isEmpty() && !names.stream().allMatch(name -> isListed(Path.of(name), "", configs, "globalEnv", "env"))) {
            lines.add("\"globalEnv\": [\"" + String.join("\", \"", names) + "\"]");
        }
        if (!configs.isEmpty() && !isListed(file, "**/", configs, "globalDependencies", "inputs")) {
            lines.add("\"globalDependencies\": [\"**/" + file.getFileName() + "\"]");
        }
        return lines.isEmpty() ? Optional.empty() : Optional.of("Turborepo may reuse a build with another branch's database; add "
                + String.join(" and ", lines) + " to " + configs.get(configs.size() - 1) + ".");
    }

    /** Returns whether a glob in any array of these names matches. */
    private static boolean isListed(Path path, String prefix, List<Path> configs, String... arrays) {
        List<String> globs = new ArrayList<>();
        for (Path config : configs) {
            try {
                JsonNode json = Http.JSON.reader().withFeatures(JsonReadFeature.ALLOW_JAVA_COMMENTS, JsonReadFeature.ALLOW_TRAILING_COMMA)
                        .readTree(Files.readAllBytes(config));
                List.of(arrays).forEach(name -> json.findValues(name).forEach(array -> array.forEach(glob -> globs.add(glob.asText()))));
            } catch (IOException e) {
                continue; // Turborepo cannot read it either.
            }
        }
        Predicate<String> isMatch = glob -> matches(prefix + glob.replace("$TURBO_ROOT$/", ""), path);
        return globs.stream().anyMatch(isMatch)
                && globs.stream().filter(glob -> glob.startsWith("!")).map(glob -> glob.substring(1)).noneMatch(isMatch);
    }

    private static boolean matches(String glob, Path path) {
        try {
            return FileSystems.getDefault().getPathMatcher("glob:" + glob.replaceAll("\\*\\*/(?![^{]*})", "{**/,}")).matches(path);
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
            Path target = file.toRealPath();
            // Exit code 1 means tracked or not ignored, 128 no repository.
            Process git = new ProcessBuilder("git", "check-ignore", "--quiet", "--", target.getFileName().toString())
                    .directory(target.getParent().toFile()).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            return git.onExit().join().exitValue() != 1 ? Optional.empty() : Optional.of("Git does not ignore " + file + ", which contains"
                    + " a password; add it to .gitignore, and run 'git rm --cached' on it if it is tracked.");
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
