import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** The Git branch that a developer is at work on. */
final class GitBranch {

    private GitBranch() {
    }

    /** Returns the branch that is checked out in the current folder; nothing where there is none, no repository or no Git. */
    static Optional<String> checkedOut() {
        try {
            Process git = new ProcessBuilder("git", "branch", "--show-current").redirectError(ProcessBuilder.Redirect.DISCARD).start();
            git.getOutputStream().close();
            String name = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return name.isEmpty() ? Optional.empty() : Optional.of(name);
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
