//DEPS com.squareup.okhttp3:okhttp-tls:5.5.1

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import javax.net.ssl.SSLContext;
import okhttp3.tls.HandshakeCertificates;
import okhttp3.tls.HeldCertificate;

/** A certificate for this machine as a company's network has it, that no Java trusts by itself. */
final class Certificate {

    private Certificate() {
    }

    /**
     * Makes a certificate, leaves it in the folder as {@code company.pem} and {@code authorities.jks}, and returns what a server needs to
     * show it. In this format Java reads certificates without a password.
     */
    static SSLContext make(Path folder) throws GeneralSecurityException, IOException {
        HeldCertificate company = new HeldCertificate.Builder().addSubjectAlternativeName("localhost").build();
        Files.writeString(folder.resolve("company.pem"), company.certificatePem());
        KeyStore authorities = KeyStore.getInstance("JKS");
        authorities.load(null, null);
        authorities.setCertificateEntry("company", company.certificate());
        try (OutputStream out = Files.newOutputStream(folder.resolve("authorities.jks"))) {
            authorities.store(out, "changeit".toCharArray());
        }
        return new HandshakeCertificates.Builder().heldCertificate(company).build().sslContext();
    }
}
